"""When the cache may answer, and what becomes of its answers.

`version` and `changes` are always those of the registry itself. Who asks for the version before
each batch, as the pump does, therefore never decodes by an old answer; for others a look-up finds
out by itself, at the next news and at least every five seconds. Without the cache the answers are
the same; without the registry none is given that cannot be checked.

A version that falls means that the registry was restored. What was read of the time that is lost
would count again once the versions have come so far; so everything is removed first, and until that
has worked the cache is not asked.

Writers need not know of the cache: whoever first notices a new version removes what it touched and
tells the others.
Source: REG-114 to REG-118.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from millrace.adapters.fleet_cached.entries import (
    BEGINNINGS,
    FAMILY,
    Controller,
    Lifetimes,
    Pin,
    Stamped,
    controller_key,
    entries_of,
    mapping_key,
    pin_key,
    profile_of,
    read,
)
from millrace.adapters.fleet_cached.floors import Floors
from millrace.errors import RetryError
from millrace.model.device import DeviceProfile, unknown
from millrace.ports.cache import Cache, Entry, News
from millrace.ports.clock import Clock
from millrace.ports.fleet import Changes, Fleet
from millrace.schema.identity import f2_device_id

LOOK_EVERY_S = 5.0
MAX_ABSENT = 10_000

_Key = tuple[str, str]


class SharedLevel(NamedTuple):
    """The second level of look-ups: a cache of one store, and news of that store."""

    cache: Cache
    news: News
    store_name: str


class CachedFleet:
    """See `ports.fleet.Fleet`. `counted` is told how many look-ups were hit, miss, negative."""

    def __init__(
        self,
        registry: Fleet,
        shared: SharedLevel,
        *,
        clock: Clock,
        lifetimes: Lifetimes | None = None,
        counted: Callable[[str, int], None] = lambda _result, _count: None,
    ) -> None:
        self._registry = registry
        self._cache, self._news, self._store = shared
        self._clock = clock
        self._lifetimes = lifetimes or Lifetimes()
        self._counted = counted
        self._version = registry.version()
        self._floors = Floors(self._version)
        self._looked_at_s = clock.steady_s()
        self._absent: dict[str, tuple[float, int]] = {}
        self._is_stale = False

    def version(self) -> int:
        self._look(is_heard=False)
        return self._version

    def changes(self, since: int) -> Changes:
        return self._registry.changes(since)

    def profiles(self, keys: Sequence[_Key]) -> dict[_Key, DeviceProfile]:
        self._listen()
        own_ids = {key: f2_device_id(key[1]) or key[1] for key in keys if key[0] == FAMILY}
        wanted = set(own_ids.values())
        found = self._known_absent(wanted)
        found |= self._cached(sorted(wanted - found.keys()))
        rest = [key for key in keys if own_ids.get(key) not in found]
        loaded = self._registry.profiles(rest) if rest else {}
        self._keep([loaded[key] for key in rest if key in own_ids])
        return {key: loaded[key] if key in loaded else found[own_ids[key]] for key in keys}

    def close(self) -> None:
        self._news.close()
        self._cache.close()
        self._registry.close()

    def _listen(self) -> None:
        try:
            is_heard = self._news.heard()
        except RetryError:
            is_heard = False
        if is_heard or self._clock.steady_s() - self._looked_at_s >= LOOK_EVERY_S:
            self._look(is_heard=is_heard)

    def _look(self, *, is_heard: bool) -> None:
        """Find out whether the registry has moved, and forget what that touched."""
        version = self._registry.version()
        self._looked_at_s = self._clock.steady_s()
        if version == self._version:
            return
        changes = self._registry.changes(self._version)
        if changes.version < self._version:
            self._is_stale = True
            self._absent.clear()
        self._version = changes.version
        self._floors.touch(changes.devices, changes.version)
        if not is_heard:
            self._tell(changes)

    def _tell(self, changes: Changes) -> None:
        touched = sorted(changes.devices or ())
        notice: dict[str, object] = {
            "version": changes.version,
            "devices": touched,
            # The devices of a touched template are among `devices`.
            "templates": [],
        }
        if changes.devices is None:
            notice["all"] = True
        try:
            self._clear_stale()
            self._remove(touched)
            self._news.tell(msgspec.json.encode(notice))
        except RetryError:
            return  # the floors hold here, and the others look by themselves

    def _clear_stale(self) -> None:
        """Remove what was read of a lost time. Raises: RetryError, it is still there."""
        if self._is_stale:
            self._cache.clear(BEGINNINGS)
            self._is_stale = False

    def _remove(self, device_ids: Sequence[str]) -> None:
        heads = [controller_key(device_id) for device_id in device_ids]
        values = self._cache.get(heads)
        keys = list(heads)
        for device_id, head in zip(device_ids, heads, strict=True):
            controller = read(Controller, values.get(head))
            for place in controller.pins if controller else ():
                number = controller.id if controller else 0
                keys += [pin_key(device_id, place), mapping_key(number, place)]
        self._cache.delete(keys)

    def _known_absent(self, own_ids: Iterable[str]) -> dict[str, DeviceProfile]:
        """Return those that this process itself did not find a moment ago."""
        now_s = self._clock.steady_s()
        found = {}
        for own_id in own_ids:
            until_s, version = self._absent.get(own_id, (now_s, 0))
            if until_s > now_s and version >= self._floors.of(own_id):
                found[own_id] = unknown(own_id, FAMILY)
        self._counted("negative", len(found))
        return found

    def _cached(self, own_ids: Sequence[str]) -> dict[str, DeviceProfile]:
        """Return what the cache can answer."""
        try:
            self._clear_stale()
            controllers = self._controllers(own_ids)
            pins = self._pins(controllers)
        except RetryError:
            return {}
        found = {
            own_id: profile_of(own_id, controller, pins[own_id])
            for own_id, controller in controllers.items()
            if len(pins[own_id]) == len(controller.pins)
        }
        known = sum(profile.is_known for profile in found.values())
        self._counted("hit", known)
        self._counted("negative", len(found) - known)
        self._counted("miss", len(own_ids) - len(found))
        return found

    def _controllers(self, own_ids: Sequence[str]) -> dict[str, Controller]:
        values = self._cache.get([controller_key(own_id) for own_id in own_ids])
        read_ones = ((own, read(Controller, values.get(controller_key(own)))) for own in own_ids)
        return {own: one for own, one in read_ones if one is not None and self._counts(own, one)}

    def _pins(self, controllers: dict[str, Controller]) -> dict[str, dict[tuple[int, int], Pin]]:
        places = [(own, place) for own, one in controllers.items() for place in one.pins]
        values = self._cache.get([pin_key(*each) for each in places]) if places else {}
        pins: dict[str, dict[tuple[int, int], Pin]] = {own: {} for own in controllers}
        for own, place in places:
            pin = read(Pin, values.get(pin_key(own, place)))
            if pin is not None and self._counts(own, pin):
                pins[own][place] = pin
        return pins

    def _counts(self, own_id: str, entry: Stamped) -> bool:
        """Say whether an answer was read from this store and is not older than its floor."""
        return entry.s == self._store and self._floors.of(own_id) <= entry.v <= self._version

    def _keep(self, profiles: Sequence[DeviceProfile]) -> None:
        until_s = self._clock.steady_s() + self._lifetimes.absent_s
        entries: list[Entry] = []
        for profile in profiles:
            entries += entries_of(profile, self._version, self._store, self._lifetimes)
            if not profile.is_known:
                self._absent[profile.device_id] = (until_s, self._version)
        while len(self._absent) > MAX_ABSENT:
            del self._absent[next(iter(self._absent))]
        try:
            self._clear_stale()
            self._cache.put(entries)
        except RetryError:
            return
