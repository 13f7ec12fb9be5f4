"""`python -m bench [CASE…] [--quick]`: run the cases, print one table, write the results."""

import argparse
import importlib
import pkgutil
import sys
import time
from pathlib import Path

from bench import cases
from bench.bench import Bench, raise_open_files, working_folder
from bench.checks import CheckError
from bench.report import ROOT, Report

RESULTS = ROOT / "bench" / "results"


def main() -> int:
    """Run what the arguments ask for; return 1 when a case found a wrong result."""
    known = sorted((one.name for one in pkgutil.iter_modules(cases.__path__)), key=_number)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("case", nargs="*", type=str.lower, help=f"of: {' '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="small sizes: it works, no figures")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    options = parser.parse_args()
    if unknown := set(options.case) - set(known):
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    report = Report(is_quick=options.quick)
    raise_open_files()
    with working_folder() as shared:
        for name in options.case or known:
            _run(name, report, shared)
    report.show()
    print(report.write(options.results))
    return 1 if report.wrong else 0


def _run(name: str, report: Report, shared: Path) -> None:
    started = time.monotonic()
    print(f"{name.upper()} …", file=sys.stderr, flush=True)
    with working_folder() as root:
        bench = Bench(name, report, root, shared)
        try:
            importlib.import_module(f"bench.cases.{name}").run(bench)
        except CheckError as error:
            report.rows = [row for row in report.rows if row.case != name.upper()]
            report.wrong[name.upper()] = str(error).partition("\n")[0]
            print(f"{name.upper()}: {error}", file=sys.stderr)
    report.seconds[name] = round(time.monotonic() - started, 1)


def _number(name: str) -> int:
    return int(name[1:])


if __name__ == "__main__":
    sys.exit(main())
