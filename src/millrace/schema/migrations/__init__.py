"""The Alembic environment and the one linear history of the schema (REG-002)."""
