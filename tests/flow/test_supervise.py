"""Keeping real child processes alive. Source: D-01, F1, F51."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from millrace.flow.supervise import Child, ChildError, Supervisor

READY = 'import sys, os; print(\'{"ready": 1, "pid": %d}\' % os.getpid(), flush=True)\n'
UNTIL_CLOSED = READY + "sys.stdin.read()"


def child(name: str, script: str, *words: str) -> Child:
    return Child(name, [sys.executable, "-c", script, *words])


async def until(what: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not what():  # noqa: ASYNC110 - processes set no events
            await asyncio.sleep(0.01)


async def test_d01_children_wait_for_those_they_need_and_end_together() -> None:
    became_ready: list[str] = []
    children = [child(name, UNTIL_CLOSED) for name in "abc"]
    children[0].after, children[1].after = children[1], children[2]
    supervisor = Supervisor(children, changed=lambda one: became_ready.append(one.name))
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await until(lambda: len(became_ready) == 3)
        supervisor.stop()
    assert became_ready == ["c", "b", "a"]
    codes = [one.process.returncode for one in children if one.process]
    assert codes == [0, 0, 0]
    assert all(one.restarts == 0 for one in children)


async def test_f1_a_child_that_dies_is_started_again() -> None:
    one = child("a", UNTIL_CLOSED)
    supervisor = Supervisor([one])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        for restarts in (1, 2):
            await until(lambda: one.ready.is_set() and is_alive(one))
            os.kill(one.said["pid"], signal.SIGKILL)
            await until(lambda restarts=restarts: one.restarts == restarts)  # type: ignore[misc]
            before = one.said["pid"]
            await until(lambda before=before: one.said["pid"] != before)  # type: ignore[misc]
        supervisor.stop()
    assert not psutil.pid_exists(one.said["pid"])


def is_alive(one: Child) -> bool:
    return psutil.pid_exists(one.said["pid"]) and one.process is not None


async def test_f1_after_a_steady_life_a_child_is_back_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("millrace.flow.supervise.STEADY_S", 0.05)
    one = child("a", UNTIL_CLOSED)
    supervisor = Supervisor([one])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await until(one.ready.is_set)
        pauses = []
        for _ in range(6):
            before, begun = one.said["pid"], time.monotonic()
            await asyncio.sleep(0.05)
            os.kill(before, signal.SIGKILL)
            await until(lambda before=before: one.said["pid"] != before)  # type: ignore[misc]
            pauses.append(time.monotonic() - begun)
        supervisor.stop()
    assert max(pauses) < 2


async def test_f1_only_the_dead_one_is_started_again() -> None:
    children = [child("a", UNTIL_CLOSED), child("b", UNTIL_CLOSED)]
    supervisor = Supervisor(children)
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await until(lambda: all(one.ready.is_set() for one in children))
        other = children[1].said["pid"]
        os.kill(children[0].said["pid"], signal.SIGKILL)
        await until(lambda: children[0].restarts == 1)
        assert children[1].said["pid"] == other
        assert psutil.pid_exists(other)
        supervisor.stop()


@pytest.mark.parametrize("code", [1, 2, 3, 77])
async def test_d57_a_child_that_cannot_start_ends_everything_with_its_code(code: int) -> None:
    first = child("a", UNTIL_CLOSED)
    second = child("b", f"import sys; sys.exit({code})")
    second.after = first
    supervisor = Supervisor([first, second])
    with pytest.raises(ChildError, match="b could not start") as caught:
        await supervisor.run()
    assert caught.value.exit_code == code
    assert first.process is not None
    assert first.process.returncode == 0


async def test_f1_a_child_that_was_killed_on_its_way_is_tried_again(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; seen = pathlib.Path(sys.argv[1])\n"
        "if not seen.exists(): seen.touch(); os.kill(os.getpid(), 9)\n" + UNTIL_CLOSED
    )
    one = child("a", script, str(tmp_path / "seen"))
    supervisor = Supervisor([one])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await until(one.ready.is_set)
        supervisor.stop()
    assert one.restarts == 1


async def test_f1_a_child_that_is_always_killed_on_its_way_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("millrace.flow.supervise.MAX_KILLED_AT_START", 2)
    one = child("a", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ChildError, match="a could not start") as caught:
        await Supervisor([one]).run()
    assert caught.value.exit_code == 1
    assert one.restarts == 2


async def test_f51_a_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.flow.supervise.DRAIN_S", 0.3)
    one = child("a", READY + "import time; time.sleep(60)")
    supervisor = Supervisor([one])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await until(one.ready.is_set)
        begun = time.monotonic()
        supervisor.stop()
    assert time.monotonic() - begun < 5
    assert one.process is not None
    assert one.process.returncode == -signal.SIGKILL


async def test_f51_stopping_while_a_child_is_not_ready_yet() -> None:
    one = child("a", "import sys; sys.stdin.read()")
    supervisor = Supervisor([one, child("b", UNTIL_CLOSED)])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await until(lambda: one.process is not None)
        supervisor.stop()
    assert one.process is not None
    assert one.process.returncode == 0


async def test_f51_stopping_in_the_pause_before_a_restart() -> None:
    one = child("a", UNTIL_CLOSED)
    supervisor = Supervisor([one])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await until(one.ready.is_set)
        for _ in range(4):
            restarts = one.restarts
            await until(lambda: is_alive(one))
            os.kill(one.said["pid"], signal.SIGKILL)
            await until(lambda restarts=restarts: one.restarts > restarts)  # type: ignore[misc]
        supervisor.stop()


async def test_noise_on_standard_output_is_not_taken_for_readiness() -> None:
    one = child("a", "print('hello', flush=True)\n" + UNTIL_CLOSED)
    supervisor = Supervisor([one])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await until(one.ready.is_set)
        supervisor.stop()
    assert json.dumps(one.said)
    assert one.said["ready"] == 1


async def test_a_cancelled_supervisor_leaves_no_child() -> None:
    one = child("a", READY + "import time; time.sleep(60)")
    task = asyncio.get_running_loop().create_task(Supervisor([one]).run())
    await until(one.ready.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(one.said["pid"])


TOLD = "import sys, json; word = sys.stdin.readline()\n" + READY.replace(
    '"ready": 1', '"ready": %s'
).replace("% os.getpid()", "% (json.dumps(word), os.getpid())")


async def test_d01_a_child_begins_when_it_is_told_and_so_does_the_next_one() -> None:
    one = child("a", TOLD + "sys.stdin.read()")
    supervisor = Supervisor([one])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await supervisor.started.wait()
        assert one.process is not None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.ready.wait(), 0.3)
        supervisor.begin(b"go\n")
        await one.ready.wait()
        assert one.said["ready"] == "go\n"
        first = one.said["pid"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: one.said["pid"] != first)
        assert one.said["ready"] == "go\n"
        supervisor.stop()


async def test_d01_children_that_were_never_told_end_when_all_stops() -> None:
    one = child("a", "import sys; sys.exit(bool(sys.stdin.readline()))")
    supervisor = Supervisor([one])
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await supervisor.started.wait()
        supervisor.stop()
    assert one.process is not None
    assert one.process.returncode == 0
