"""Which plan decodes a topic.

A topic is looked at once: its address says whose message it is, the registry says how that device
is decoded, and the codec compiles both into a plan. Routes are kept in a dictionary, so a message
costs one look-up; they fall when the registry row of their device changes.
Source: architecture.md 2, D-25, D-51, REG-104, REG-115, REG-120.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from millrace.errors import RejectError
from millrace.model.codec import Address, Codec, Plan, SociablePlan
from millrace.model.decoded import Decoded
from millrace.model.device import DeviceProfile
from millrace.model.series import Slots

Key = tuple[str, str]

_ROW_ID = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_.:-]{1,128}\Z")
_ATTACHED_ID = re.compile(r"dev-[0-9]+\Z")


class RejectingPlan:
    """The plan of a topic whose messages all become the same dead letter."""

    def __init__(self, error: RejectError) -> None:
        self._reason, self._detail = error.reason, error.detail

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Refuse the message."""
        raise RejectError(self._reason, self._detail)


class SilentPlan:
    """The plan of records that no device sent: ticks and registry notices."""

    def decode(self, payload: bytes, received_at_ns: int, flags: int, out: Decoded) -> None:
        """Say nothing."""


class Route:
    """Where the messages of one topic go. `is_unknown`: its device has no registry row."""

    __slots__ = ("decode", "device_id", "is_unknown", "label", "plan", "together")

    def __init__(self, address: Address, plan: Plan, *, is_unknown: bool = False) -> None:
        self.label = (address.family, address.category)
        self.device_id = address.device_id
        self.plan = plan
        self.decode = plan.decode
        self.together = plan.together if isinstance(plan, SociablePlan) else None
        self.is_unknown = is_unknown


SILENT = Route(Address("", "", ""), SilentPlan())


class Router:
    """Routes by topic.

    `registration` is `auto` or `required` per family.
    """

    def __init__(
        self,
        codecs: Sequence[Codec],
        slots: Slots,
        *,
        registration: Mapping[str, str] | None = None,
        max_routes: int = 500_000,
    ) -> None:
        self._codecs = codecs
        self._by_family = {codec.family: codec for codec in codecs}
        self._slots = slots
        self._registration = registration or {}
        self._max_routes = max_routes
        self._topics_of: dict[str, tuple[str, ...]] = {}
        self.routes: dict[str, Route] = {"": SILENT}
        self.unknown: set[str] = set()

    def address(self, topic: str) -> Address:
        """Return whose message a topic carries.

        Raises:
            RejectError: `bad_topic` and its kin from the family that owns the first level, or
                `unknown_topic` when no family does; `element` is then the family.
        """
        for codec in self._codecs:
            try:
                found = codec.address(topic)
            except RejectError as error:
                raise RejectError(error.reason, error.detail, element=codec.family) from error
            if found is not None:
                return found
        raise RejectError("unknown_topic", "no device family takes this topic", element="generic")

    def missing(self, topics: Iterable[str]) -> dict[Key, list[str]]:
        """Return the topics without a route by the key of their device; bad ones get theirs.

        Shape: `topics` are all those of a batch. The oldest routes fall here when there are too
        many, and never later: what the batch was promised stays until it is decoded.
        """
        if len(self.routes) >= self._max_routes:
            self._evict(self._max_routes // 4)
        wanted: dict[Key, list[str]] = {}
        for topic in {topic for topic in topics if topic not in self.routes}:
            try:
                address = self.address(topic)
            except RejectError as error:
                refused = Address(error.element, "other", "unknown")
                self._add(topic, Route(refused, RejectingPlan(error)))
            else:
                wanted.setdefault((address.family, address.device_id), []).append(topic)
        return wanted

    def learn(self, wanted: Mapping[Key, list[str]], profiles: Mapping[Key, DeviceProfile]) -> None:
        """Compile the routes of `wanted` from the profiles of their devices."""
        for key, topics in wanted.items():
            for topic in topics:
                self._add(topic, self.compile(topic, profiles[key]))

    def compile(self, topic: str, profile: DeviceProfile) -> Route:
        """Return the route of one topic, given what the registry knows of its device."""
        address = self.address(topic)
        refusal = self._refusal(address, profile)
        if refusal is not None:
            return Route(address, RejectingPlan(refusal))
        plan = self._by_family[address.family].compile(topic, profile, self._slots)
        return Route(address, plan, is_unknown=not profile.is_known)

    def forget(self, device_ids: Iterable[str] | None) -> None:
        """Drop the routes of these devices, or all of them."""
        if device_ids is None:
            self.routes = {"": SILENT}
            self.unknown.clear()
            self._topics_of.clear()
            return
        for device_id in device_ids:
            for topic in self._topics_of.pop(device_id, ()):
                self.routes.pop(topic, None)
                self.unknown.discard(topic)

    def _refusal(self, address: Address, profile: DeviceProfile) -> RejectError | None:
        if profile.status == "decommissioned":
            return RejectError("decommissioned", "the device is out of service")
        if profile.is_known:
            return None
        if self._registration.get(address.family, "auto") == "required":
            return RejectError("unknown_device", "the device is not registered")
        if not _ROW_ID.match(address.device_id) or _ATTACHED_ID.match(address.device_id):
            return RejectError("bad_device_id", "the registry cannot hold this device id")
        return None

    def _add(self, topic: str, route: Route) -> None:
        self.routes[topic] = route
        if route.is_unknown:
            self.unknown.add(topic)
        self._topics_of[route.device_id] = (*self._topics_of.get(route.device_id, ()), topic)

    def _evict(self, count: int) -> None:
        oldest = [topic for topic, _ in zip(self.routes, range(count + 1), strict=False) if topic]
        for topic in oldest:
            device_id = self.routes.pop(topic).device_id
            self.unknown.discard(topic)
            kept = tuple(one for one in self._topics_of.get(device_id, ()) if one != topic)
            if kept:
                self._topics_of[device_id] = kept
            else:
                self._topics_of.pop(device_id, None)
