"""The way in: messages of the broker are appended to the log, then acknowledged."""
