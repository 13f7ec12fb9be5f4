"""A disk that remembers what was synced: what is left of SQLite files when the power goes.

A VFS writes down every write, truncation and sync. From that, the files as of any instant can be
made: what was synced is there; of what was written after the last sync of a file, a random part is
there, the last piece of it torn.
Source: reliability.md F7.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw


class Step(NamedTuple):
    """One thing that was done to a file. `data` None is a truncation to `offset`, or a sync."""

    path: str
    kind: str
    offset: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """All steps in order; recording can be switched off to look at what came of them."""

    steps: list[Step] = field(default_factory=list)
    is_recording: bool = True

    def note(self, step: Step) -> None:
        if self.is_recording:
            self.steps.append(step)

    def after_a_power_cut(self, at: int, rng: Random) -> dict[str, bytes]:
        """Return the files as they may be when the power goes behind step `at`."""
        synced: dict[str, bytearray] = {}
        waiting: defaultdict[str, list[Step]] = defaultdict(list)
        for step in self.steps[:at]:
            if step.kind == "delete":
                synced.pop(step.path, None)
                waiting.pop(step.path, None)
                continue
            image = synced.setdefault(step.path, bytearray())
            if step.kind != "sync":
                waiting[step.path].append(step)
                continue
            for one in waiting.pop(step.path, ()):
                _apply(image, one)
        for path, steps in waiting.items():
            for one in _survivors(steps, rng):
                _apply(synced[path], one)
        return {path: bytes(image) for path, image in synced.items()}


def _survivors(steps: list[Step], rng: Random) -> list[Step]:
    """Return what reached the disk without a sync: the first of it, or any of it; one is torn."""
    if rng.random() < 0.5:
        kept = steps[: rng.randint(0, len(steps))]
    else:
        kept = [step for step in steps if rng.random() < 0.5]
    if kept and kept[-1].kind == "write":
        last = kept.pop()
        kept.append(last._replace(data=last.data[: rng.randint(0, len(last.data))]))
    return kept


def _apply(image: bytearray, step: Step) -> None:
    if step.kind == "truncate":
        del image[step.offset :]
        return
    image.extend(bytes(max(0, step.offset - len(image))))
    image[step.offset : step.offset + len(step.data)] = step.data


@contextmanager
def recorded_disk() -> Iterator[Disk]:
    """Make a disk of this kind the one that connections use, until the block ends."""
    disk = Disk()

    class File(apsw.VFSFile):
        def __init__(self, name: Any, flags: list[int]) -> None:
            self.path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
            super().__init__("unix", name, flags)

        def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - names of SQLite
            disk.note(Step(self.path, "write", offset, bytes(data)))
            super().xWrite(data, offset)

        def xTruncate(self, newsize: int) -> None:  # noqa: N802
            disk.note(Step(self.path, "truncate", newsize))
            super().xTruncate(newsize)

        def xSync(self, flags: int) -> None:  # noqa: N802
            super().xSync(flags)
            disk.note(Step(self.path, "sync"))

    class Files(apsw.VFS):
        def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
            return File(name, flags)

        def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001
            super().xDelete(filename, syncdir)
            disk.note(Step(filename, "delete"))

    files = Files("power-cut", "unix", makedefault=True)
    try:
        yield disk
    finally:
        files.unregister()


def restore(files: dict[str, bytes], source: Path, target: Path) -> None:
    """Write files of one folder as they were left into another."""
    target.mkdir(exist_ok=True)
    for path, content in files.items():
        if Path(path).parent == source and not path.endswith("-shm"):
            (target / Path(path).name).write_bytes(content)
