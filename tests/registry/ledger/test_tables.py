"""The schema: who owns a row, and that migrations and tables say the same."""

from __future__ import annotations

import re

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from registry.ledger.ids import new_id
from registry.ledger.tables import File, Job, Table
from registry.memory import Memory


def test_every_table_but_organizations_and_operator_keys_has_an_owner() -> None:
    unowned = {name for name, table in Table.metadata.tables.items() if "organization_id" not in table.columns}
    assert unowned == {"organizations", "operator_keys"}


def test_owner_of_a_row_is_required_and_exists() -> None:
    for table in Table.metadata.tables.values():
        if "organization_id" in table.columns:
            column = table.columns["organization_id"]
            assert not column.nullable
            assert {key.target_fullname for key in column.foreign_keys} == {"organizations.id"}


def test_migrations_make_exactly_the_tables(memory: Memory) -> None:
    with memory.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_ids_cannot_be_guessed() -> None:
    made = {new_id("ftjob-") for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"ftjob-[a-z0-9]{24}", identity) for identity in made)


def test_id_prefixes_are_those_of_the_wire() -> None:
    prefixes = {
        table.name: table.columns["id"].default.arg(None)[:-24]
        for table in Table.metadata.tables.values()
        if "id" in table.columns
    }
    assert prefixes["organizations"] == "org_"
    assert prefixes["api_keys"] == "key_"
    assert prefixes[File.__tablename__] == "file-"
    assert prefixes[Job.__tablename__] == "ftjob-"
    assert prefixes["checkpoints"] == "ftckpt_"
    assert prefixes["events"] == "ftevent-"
    assert prefixes["base_models"] == "model_"
