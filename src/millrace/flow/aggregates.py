"""Aggregates as SQL of DuckDB, which computes them for every history, so that all answer the same.

Only numbers that were checked to be numbers and names from the table in this file are ever put
into a statement.
Source: D-53, API-032, F39.
"""

# ruff: noqa: S608 (statements are composed here, of the parts that the rule above allows)

from collections.abc import Sequence

from millrace.errors import UsageError

# Nothing that is not a number ever leaves an aggregate: a sum that overflows is null (F39).
_FUNCTIONS = {
    "mean": "favg(value)",
    "min": "min(value)",
    "max": "max(value)",
    "sum": "fsum(value)",
    "first": "arg_min(value, t)",
    "last": "arg_max(value, t)",
    # Added up in another order it has another last digit; sums are compensated and have not.
    "stddev": "stddev_pop(value ORDER BY t)",
    "p50": "quantile_cont(value, 0.5)",
    "p95": "quantile_cont(value, 0.95)",
    "p99": "quantile_cont(value, 0.99)",
}


def windows_sql(bucket: str, functions: Sequence[str], limit: int) -> str:
    """Return the question for aggregates; `bucket` maps `t` (microseconds) to its window."""
    columns = "".join(f", {function_sql(name)} AS {name}" for name in dict.fromkeys(functions))
    return (
        f"SELECT series_id, ({bucket}) * 1000 AS time_ns{columns} "
        "FROM (SELECT series_id, epoch_us(time) AS t, value FROM readings) "
        f"GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {int(limit)}"
    )


def function_sql(name: str) -> str:
    """Return the SQL of one of `AGGREGATES` over `value` and its instant `t`.

    Raises:
        UsageError: There is no such aggregate.
    """
    if name == "count":
        return "count(*)"
    if name not in _FUNCTIONS:
        raise UsageError(f"there is no aggregate {name!r}")
    text = _FUNCTIONS[name]
    return f"CASE WHEN isfinite({text}) THEN {text} END"
