"""DuckDB as it is used here: in memory, bounded, with no extensions from outside.

Source: libraries.md ("switch off extension auto-install"); F55.
"""

import duckdb

# What is wrong with a statement, and so with this package; every other error of DuckDB is about
# what it was given to read.
MISTAKES = (
    duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException,
    duckdb.SyntaxException,
)  # fmt: skip
# After one of these the database refuses everything else.
BROKEN = (duckdb.InternalException, duckdb.FatalException)


def open_engine(memory_bytes: int, *, threads: int) -> duckdb.DuckDBPyConnection:
    """Return a database in memory; `cursor()` gives each thread a connection of its own."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": threads,
            "memory_limit": f"{memory_bytes // (1 << 20)}MiB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "preserve_insertion_order": False,
            # No spilling: what does not fit is refused, it does not fill the disk (P10).
            "temp_directory": "",
        },
    )
    connection.execute("SET GLOBAL parquet_metadata_cache = true")
    connection.execute("SET GLOBAL python_enable_replacements = false")
    return connection
