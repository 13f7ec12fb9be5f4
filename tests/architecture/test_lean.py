"""What a process must not load: it would cost the time to start, and memory for all its life.

Source: performance.md, B13 and the memory of B1.
"""

import subprocess
import sys

import pytest

# Each of these takes as long as all of Millrace that the process needs, or 10 MB, or both.
HEAVY = {"pyarrow", "duckdb", "deltalake", "fastapi", "alembic", "sqlalchemy"}


def loaded(*modules: str) -> set[str]:
    """Return what a fresh interpreter has after importing modules."""
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        (
            ("millrace.cli.up",),
            HEAVY | {"numpy", "uvicorn", "pydantic", "rich.live", "millrace.app"},
        ),
        (("millrace.cli.prepared", "millrace.cli.screen"), HEAVY | {"uvicorn", "rich.live"}),
        (("millrace.wiring.edge", "millrace.wiring.health"), HEAVY),
        (("millrace.wiring.inner", "millrace.wiring.health"), {"duckdb", "deltalake", "fastapi"}),
        (("millrace.wiring.out",), {"alembic", "sqlalchemy", "millrace.codecs"}),
    ],
)
def test_b13_a_process_loads_what_it_needs(modules: tuple[str, ...], forbidden: set[str]) -> None:
    assert not loaded(*modules) & forbidden


def test_b13_only_the_command_that_is_asked_for_is_loaded() -> None:
    script = (
        "import sys; from millrace.cli.main import main; sys.argv[1:] = ['check', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "effective settings" in done.stdout
    found = set(done.stderr.split())
    assert "millrace.cli.check" in found
    assert not found & {"millrace.cli.up", "millrace.cli.simulate", "millrace.cli.decode"}


def test_b13_a_process_leaves_rich_out_and_ends_without_a_word() -> None:
    script = (
        "import sys; from millrace.cli.child import main; main(['run', 'ingest'])\n"
        "assert 'millrace.wiring.edge' in sys.modules, 'has not loaded what it needs'\n"
        "assert 'rich.console' not in sys.modules, 'rich'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stdout
