"""What `ports.archive.ArchivePositions` means, and a version of it in memory."""

from abc import abstractmethod

import pytest

from millrace.errors import FencedError
from millrace.ports.archive import ArchivePositions, Intent


class MemoryPositions:
    """See `ports.archive.ArchivePositions`."""

    def __init__(self) -> None:
        self.positions: dict[int, int] = {}
        self.intents: dict[int, Intent] = {}

    def position(self, partition: int) -> int:
        return self.positions.get(partition, 0)

    def take_up(self, partition: int, start: int) -> int:
        return self.positions.setdefault(partition, start)

    def intent(self, partition: int) -> Intent | None:
        return self.intents.get(partition)

    def begin(self, intent: Intent) -> None:
        if intent.partition in self.intents:
            raise FencedError("another intent is not finished")
        self.intents[intent.partition] = intent

    def finish(self, intent: Intent) -> None:
        if self.intents.get(intent.partition) != intent:
            raise FencedError("that intent was not begun")
        del self.intents[intent.partition]
        self.positions[intent.partition] = intent.last + 1

    def close(self) -> None:
        pass


class MemoryOutcomes:
    """See `ports.archive.Outcomes`."""

    def __init__(self) -> None:
        self.decided_to: dict[int, int] = {}
        self.left_out: dict[int, set[int]] = {}

    def decided(self, partition: int) -> int:
        return self.decided_to.get(partition, 0)

    def not_stored(self, partition: int, first: int, last: int) -> set[int]:
        return {one for one in self.left_out.get(partition, set()) if first <= one <= last}

    def close(self) -> None:
        pass


class ArchivePositionsContract:
    """Subclass it, and give `make_positions`."""

    @abstractmethod
    def make_positions(self) -> ArchivePositions:
        """Return the positions of this test; a second call is another process."""

    def test_at_first_there_is_nothing(self) -> None:
        positions = self.make_positions()
        assert positions.position(3) == 0
        assert positions.intent(3) is None

    def test_the_first_start_is_kept(self) -> None:
        assert self.make_positions().take_up(3, 17) == 17
        assert self.make_positions().take_up(3, 40) == 17
        assert self.make_positions().position(3) == 17
        assert self.make_positions().position(2) == 0

    def test_d28_an_intent_outlives_the_process(self) -> None:
        intent = Intent(1, 0, 41, "manifest=1/x")
        self.make_positions().begin(intent)
        again = self.make_positions()
        assert again.intent(1) == intent
        assert again.intent(0) is None
        assert again.position(1) == 0

    def test_finishing_moves_the_position(self) -> None:
        positions = self.make_positions()
        for first, last in ((0, 41), (42, 42)):
            intent = Intent(1, first, last, f"manifest=1/{first}")
            positions.begin(intent)
            positions.finish(intent)
            assert positions.intent(1) is None
            assert self.make_positions().position(1) == last + 1

    def test_p5_only_what_was_begun_is_finished(self) -> None:
        positions = self.make_positions()
        intent = Intent(1, 0, 41, "manifest=1/x")
        with pytest.raises(FencedError):
            positions.finish(intent)
        positions.begin(intent)
        with pytest.raises(FencedError):
            positions.begin(Intent(1, 0, 50, "manifest=1/y"))
        positions.finish(intent)
        with pytest.raises(FencedError):
            positions.finish(intent)
        assert positions.position(1) == 42
