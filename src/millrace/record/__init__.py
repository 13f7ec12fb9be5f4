"""Work becomes effects: rows and counters that a ledger only has to store. Pure."""
