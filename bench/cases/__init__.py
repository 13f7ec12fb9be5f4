"""The cases, one a file; each has `run(Bench) -> None`, which reports rows or raises CheckError."""
