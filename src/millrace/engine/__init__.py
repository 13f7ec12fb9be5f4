"""Durable files in bytes only: the frames that a log is made of."""
