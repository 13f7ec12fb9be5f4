"""One running stack for the tests of a module that do no harm to it."""

from collections.abc import Iterator

import pytest

from tests.whole.stack import Stack, running

GENERIC = '[{"topic": "factory/{device_id}/data"}]'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("whole")
    with running(folder / "data", env={"MILLRACE_GENERIC": GENERIC}) as stack:
        yield stack
