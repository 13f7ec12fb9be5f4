"""The relational tables, defined once for every adapter: registry, ledger, and their migrations."""
