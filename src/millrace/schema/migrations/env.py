"""What Alembic runs to turn revisions into SQL text; a store executes the text itself.

Only the offline mode exists: the store holds the connection, its locks and the transaction.
Alembic executes this file, so it works at import by design.
Source: REG-002, D-20.
"""

from alembic import context

from millrace.schema.ddl import metadata

context.configure(
    dialect_name=context.config.get_main_option("dialect"),
    target_metadata=metadata,
    literal_binds=True,
    dialect_opts={"paramstyle": "named"},
)
context.run_migrations()
