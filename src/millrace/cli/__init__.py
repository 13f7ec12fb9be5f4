"""The command line: `main` for people, `child` for the supervisor; one file a command group."""
