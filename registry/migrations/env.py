"""Alembic's entry: migrates over the connection that ``registry.database.upgrade`` hands over."""

from alembic import context

from registry.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
