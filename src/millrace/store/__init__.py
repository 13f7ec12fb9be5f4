"""Stores that hold registry and ledger in one place: how they are opened, migrated and written."""
