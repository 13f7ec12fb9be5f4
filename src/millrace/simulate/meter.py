"""A rail meter of protocol version 2: it samples, sends, greets, obeys and updates itself.

A train takes more when it accelerates and feeds back when it brakes: the current of a DC meter is
negative then, its amount stays within 200 to 400 A. Sampling does not care whether a broker is
there: datagrams are made at their time, and wait.
Source: MTR-021, MTR-078, MTR-079, MTR-100 to MTR-113, MTR-150, MTR-151.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import msgspec

from millrace.model.device import DeviceProfile
from millrace.model.instants import SECOND_NS
from millrace.mqtt.packets import Subscription
from millrace.simulate.acts import Agenda, Deed, Fetch, Message, Restart
from millrace.simulate.meter_commands import ACCEPTED, Command, Verdict, judge, read_command
from millrace.simulate.meter_load import AcLoad, DcLoad
from millrace.simulate.physics import LoadCycle, Walk
from millrace.simulate.stamps import Form, Stamps

SEQ_MODULUS: Final = 2**32
ELEMENTS_MAX: Final = 200
NAMES: Final = ("dc-meter-001", "dc-meter-002", "ac-meter-001")
FIRMWARE: Final = "2.1.0"

_REMEMBERED: Final = 1000
_REBOOT_AFTER_NS: Final = SECOND_NS
_OTA_STEP_NS: Final = SECOND_NS // 2


@dataclass(frozen=True, slots=True)
class MeterOptions:
    """How meters behave. `key` signs the commands to a meter; None: unknown.

    `buffer_messages` is what the driver keeps for it while the broker is away.
    """

    sampling_cadence_ms: int = 1000
    send_interval_s: int = 10
    hello_interval_s: int = 30
    is_steady: bool = False
    qos: int = 2
    key: bytes | None = None
    buffer_messages: int = 10_000


class Meter:
    """One meter; see `acts.Device`."""

    def __init__(
        self, profile: DeviceProfile, seed: int, start_ns: int, options: MeterOptions
    ) -> None:
        self.device_id = profile.device_id
        self.agenda = Agenda()
        self.stamps = Stamps(Form.ZULU_MS, start_ns)
        self.is_offline = False
        self.filters: tuple[Subscription, ...] = (Subscription(f"iot/{self.device_id}/command", 2),)
        self.options = options
        self.fw_version = profile.fw_version or FIRMWARE
        self._factory = options
        self._rng = rng = Random(f"{seed}/{self.device_id}")  # noqa: S311 - a world, not a secret
        self._quoted_id = msgspec.json.encode(self.device_id).decode()
        self._cycle = LoadCycle(rng, start_ns)
        self._load = AcLoad(rng) if "ac" in (profile.device_type or "dc") else DcLoad(rng)
        self._warmth = Walk(rng, 30, 55)
        self._seq = 0
        self._waiting = 0
        self._done: OrderedDict[str, Verdict] = OrderedDict()
        self._update: str | None = None
        self._sampled_ns = start_ns
        self._turn = 0
        if not options.is_steady:
            # Not all at once, yet the first datagram comes within its interval.
            phase = int(options.send_interval_s * SECOND_NS * rng.random())
            self._sampled_ns = start_ns + phase - options.send_interval_s * SECOND_NS
            self._plan(start_ns, start_ns + phase)

    def emit(self, at_ns: int) -> Message:
        """Return a datagram with one sample; see `acts.Device`."""
        return self._datagram(at_ns, self._sample(at_ns))

    def status(self, at_ns: int, *, is_online: bool) -> Message | None:
        """Return `online`, or the will; see `acts.Device`. Source: MTR-078."""
        word = "online" if is_online else "offline"
        body = f'{{"v":2,"device_id":{self._quoted_id},"ts":{self.stamps.json(at_ns)},'
        payload = f'{body}"status":"{word}"}}'
        return Message(at_ns, f"iot/{self.device_id}/status", payload.encode(), 1, retain=True)

    def reboot(self, at_ns: int) -> list[Deed]:
        """Return what a loss of power makes it do: seq 0, a hello; see `acts.Device`."""
        self._seq = 0
        self._update = None
        self.stamps.booted_ns = at_ns
        return [Restart(at_ns), self._hello(at_ns)]

    def heard(self, at_ns: int, topic: str, payload: bytes) -> list[Deed]:
        """Obey a command, once; see `acts.Device`. Source: MTR-107, MTR-113."""
        command = read_command(payload)
        if command is None:
            return []
        known = self._done.get(command.cmd_id)
        if known is not None:
            return [self._ack(at_ns, command.cmd_id, known)]
        verdict = judge(command, self.options.key)
        if verdict is ACCEPTED and command.name == "start_ota" and self._update is not None:
            verdict = Verdict("rejected", "an update is under way")
        if verdict.detail != "bad_signature":
            # What somebody forged must not take the place of the genuine command.
            self._done[command.cmd_id] = verdict
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        deeds: list[Deed] = [self._ack(at_ns, command.cmd_id, verdict)]
        return deeds + self._obey(at_ns, command) if verdict is ACCEPTED else deeds

    def _obey(self, at_ns: int, command: Command) -> list[Deed]:
        if command.name == "request_status":
            return [self._hello(at_ns)]
        if command.name == "update_config":
            self._configure(at_ns, command.params)
        elif command.name == "start_ota":
            return self._start_update(at_ns, command)
        else:
            if command.name == "factory_reset":
                self._configure(at_ns, {name: getattr(self._factory, name) for name in _CONFIG})
            self.agenda.put(at_ns + _REBOOT_AFTER_NS, self.reboot)
        return []

    def _configure(self, at_ns: int, params: Mapping[str, Any]) -> None:
        self.options = replace(self.options, **params)
        if not self.options.is_steady:
            self._plan(at_ns, at_ns + self.options.send_interval_s * SECOND_NS)

    def _plan(self, now_ns: int, first_ns: int) -> None:
        """Send from `first_ns` on, and greet; what was planned before falls. Source: MTR-079."""
        self._turn += 1
        self.agenda.put(first_ns, self._current(self._send))
        options = self.options
        if options.send_interval_s > options.hello_interval_s:
            greet_ns = now_ns + options.hello_interval_s * SECOND_NS
            self.agenda.put(greet_ns, self._current(self._greet))

    def _current(self, act: Callable[[int], list[Deed]]) -> Callable[[int], list[Deed]]:
        turn = self._turn
        return lambda at_ns: act(at_ns) if turn == self._turn else []

    def _send(self, at_ns: int) -> list[Deed]:
        self.agenda.put(at_ns + self.options.send_interval_s * SECOND_NS, self._current(self._send))
        step_ns = self.options.sampling_cadence_ms * 1_000_000
        elements: list[str] = []
        deeds: list[Deed] = []
        while self._sampled_ns + step_ns <= at_ns:
            self._sampled_ns += step_ns
            sample = self._sample(self._sampled_ns)
            if len(elements) + len(sample) > ELEMENTS_MAX:
                deeds.append(self._datagram(at_ns, elements))
                elements = []
            elements += sample
        return [*deeds, self._datagram(at_ns, elements)] if elements else deeds

    def _greet(self, at_ns: int) -> list[Deed]:
        every_ns = self.options.hello_interval_s * SECOND_NS
        self.agenda.put(at_ns + every_ns, self._current(self._greet))
        return [self._hello(at_ns)]

    def _sample(self, at_ns: int) -> list[str]:
        stamp = self.stamps.json(at_ns)
        return [f'{{"ts":{stamp}{rest}' for rest in self._load.sample(self._cycle.effort(at_ns))]

    def _datagram(self, at_ns: int, elements: list[str]) -> Message:
        return self._say(
            at_ns, "telemetry", "telemetry", f'"measurements":[{",".join(elements)}]', 2
        )

    def _hello(self, at_ns: int) -> Message:
        uptime_s = (at_ns - self.stamps.booted_ns) // SECOND_NS
        usage = min(100, 100 * self._waiting // self.options.buffer_messages)
        rest = (
            f'"fw_version":"{self.fw_version}","uptime_s":{uptime_s},"broker_connections":1,'
            f'"buf_usage_pct":{usage},"temp_internal":{self._warmth.next():.1f}'
        )
        return self._say(at_ns, "hello", "hello", rest, 2)

    def _ack(self, at_ns: int, cmd_id: str, verdict: Verdict) -> Message:
        body = {"cmd_id": cmd_id, "result": verdict.result}
        if verdict.detail:
            body["detail"] = verdict.detail
        return self._say(at_ns, "command/ack", "command_ack", _members(body), 2)

    def _say(self, at_ns: int, path: str, kind: str, rest: str, qos: int) -> Message:
        """Return a message with the envelope of version 2 and the next seq."""
        seq = self._seq
        self._seq = (seq + 1) % SEQ_MODULUS
        self._waiting = self._waiting + 1 if self.is_offline else 0
        payload = (
            f'{{"v":2,"device_id":{self._quoted_id},"ts":{self.stamps.json(at_ns)},'
            f'"seq":{seq},"msg_type":"{kind}",{rest}}}'
        )
        topic = f"iot/{self.device_id}/{path}"
        return Message(at_ns, topic, payload.encode(), min(qos, self.options.qos))

    def _start_update(self, at_ns: int, command: Command) -> list[Deed]:
        params, cmd_id = command.params, command.cmd_id
        self._update = cmd_id

        def progress(at_ns: int, percent: int) -> list[Deed]:
            return [self._ota(at_ns, command, "downloading", percent)]

        def end(at_ns: int, digest: str, problem: str) -> list[Deed]:
            if self._update != cmd_id:
                return []
            if problem:
                return self._failed(at_ns, command, problem)
            verifying = self._ota(at_ns, command, "verifying", 100)
            if digest != params["fw_sha256"].lower():
                return [verifying, *self._failed(at_ns, command, "sha256 mismatch")]
            self.agenda.put(at_ns + _OTA_STEP_NS, lambda at: self._apply(at, command))
            return [verifying]

        fetch = Fetch(at_ns, params["fw_url"], params["fw_size_bytes"], progress, end)
        return [self._ota(at_ns, command, "downloading", 0), fetch]

    def _failed(self, at_ns: int, command: Command, problem: str) -> list[Deed]:
        self._update = None
        return [self._ota(at_ns, command, "failed", 0, problem)]

    def _apply(self, at_ns: int, command: Command) -> list[Deed]:
        """Write the other partition, say so, and start from it."""
        if self._update != command.cmd_id:
            return []

        def succeed(at_ns: int) -> list[Deed]:
            if self._update != command.cmd_id:
                return []
            self.fw_version = command.params["fw_version"]
            self.agenda.put(at_ns + _OTA_STEP_NS, self.reboot)
            return [self._ota(at_ns, command, "success", 100)]

        self.agenda.put(at_ns + _OTA_STEP_NS, succeed)
        return [self._ota(at_ns, command, "applying", 100)]

    def _ota(
        self, at_ns: int, command: Command, state: str, percent: int, detail: str = ""
    ) -> Message:
        body: dict[str, Any] = {
            "cmd_id": command.cmd_id,
            "ota_state": state,
            "progress_pct": percent,
            "fw_version_target": command.params["fw_version"],
        }
        if detail:
            body["detail"] = detail
        return self._say(at_ns, "ota/status", "ota_status", _members(body), 1)


_CONFIG: Final = ("sampling_cadence_ms", "send_interval_s", "hello_interval_s")


def _members(body: Mapping[str, Any]) -> str:
    return msgspec.json.encode(body).decode()[1:-1]


def meter_profiles(count: int, known: Mapping[str, DeviceProfile]) -> list[DeviceProfile]:
    """Return `count` meters, named and typed in the cycle of MTR-150."""
    found = []
    for number in range(count):
        name = NAMES[number] if number < len(NAMES) else f"meter-{number + 1:03d}"
        kind = "power_meter_ac" if number % len(NAMES) == len(NAMES) - 1 else "power_meter_dc"
        found.append(known.get(name) or DeviceProfile(name, "meter", device_type=kind))
    return found
