"""Alembic's entry: migrates over the connection that ``registry.ledger.database.upgrade`` hands over."""

from alembic import context

from registry.ledger.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
