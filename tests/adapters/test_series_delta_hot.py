"""Hot runs: bounded in number, right in order (D-12, D-32)."""

from random import Random

import numpy as np

from millrace.adapters.series_delta.hot import (
    HotRun,
    hot_rows,
    run_of_batch,
    with_run,
    without_batches,
)
from millrace.flow.hot_frame import open_hot, seal_hot
from tests.contracts.hot_memory import START_NS, Oracle, Row, readings

IDS = np.array([1, 5, 7], np.int64)


def test_d32_runs_stay_few_and_keep_the_order_of_commits() -> None:
    random, oracle = Random(4), Oracle()
    runs: tuple[HotRun, ...] = ()
    commits: list[list[Row]] = []
    for batch_id in range(1, 400):
        rows = [
            (random.randrange(10), START_NS + random.randrange(300) * 1000, float(batch_id), 0, n)
            for n in range(random.randrange(20))
        ]
        commits.append(rows)
        runs = with_run(runs, run_of_batch(open_hot(seal_hot(readings(rows))), batch_id))
        assert len(runs) <= 8
    for through in (0, 17, 250, 399):
        oracle = Oracle()
        for rows in commits[through:]:
            oracle.commit(rows)
        left = without_batches(runs, through)
        found = hot_rows(left, IDS, -(2**62), 2**62)
        expected = oracle.select([1, 5, 7])
        assert list(zip(found.series, found.time_us * 1000, found.value, strict=True)) == [
            row[:3] for row in expected
        ]
        assert len(hot_rows(left, None, -(2**62), 2**62)) == len(oracle.select(range(10)))
