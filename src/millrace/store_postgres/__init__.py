"""The PostgreSQL database of registry, ledger and readings, as all its adapters use it."""
