"""Organisations and keys."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import text

from afinador.errors import NameTakenError, NotFoundError
from afinador.settings import Settings
from registry import organisations
from registry.ledger.tables import Organization
from registry.memory import Memory


def test_name_of_an_organization_is_unique(memory: Memory, acme: Organization) -> None:
    with memory.database.session() as session, pytest.raises(NameTakenError, match="'acme'"):
        organisations.create(session, "acme")


def test_what_is_not_changed_of_an_organization_stays(memory: Memory, acme: Organization) -> None:
    with memory.database.session() as session:
        organisations.update(session, "acme", priority=3)
        assert organisations.update(session, acme.id, concurrency_limit=2).priority == 3
        changed = organisations.update(session, "acme", concurrency_limit=None)
        assert (changed.concurrency_limit, changed.priority) == (None, 3)
        with pytest.raises(NotFoundError):
            organisations.update(session, "nobody", priority=1)


def test_organization_answers_to_id_and_name(memory: Memory, acme: Organization) -> None:
    with memory.database.reading() as session:
        assert organisations.get(session, acme.id).name == "acme"
        assert organisations.get(session, "acme").id == acme.id
        with pytest.raises(NotFoundError, match="Did you mean 'acme'"):
            organisations.get(session, "acmee")


def test_key_opens_its_organization_until_it_is_revoked(
    memory: Memory, acme: Organization, globex: Organization
) -> None:
    with memory.database.session() as session:
        key, key_text = organisations.create_key(session, acme.id, "laptop")
        organisations.create_key(session, globex.id, "other")
    with memory.database.session() as session:
        found = organisations.authenticate(session, key_text)
        assert found is not None and found.id == acme.id
        for wrong in ("", key_text[:-1], key_text + "x", key_text.upper(), key.hash, key.id):
            assert organisations.authenticate(session, wrong) is None
        with pytest.raises(NotFoundError):
            organisations.revoke_key(session, globex.id, key.id)
        first = organisations.revoke_key(session, acme.id, key.id).revoked_at
        time.sleep(0.01)
        assert organisations.revoke_key(session, acme.id, key.id).revoked_at == first
        assert organisations.authenticate(session, key_text) is None
        assert organisations.list_keys(session, acme.id) == []
        assert [(key.organization_id, key.name) for key in organisations.list_all_keys(session)] == [
            (globex.id, "other")
        ]


def test_text_of_a_key_is_kept_nowhere(memory: Memory) -> None:
    with memory.database.session() as session:
        made = organisations.first_start(session, memory.settings)
    assert made is not None and made.operator_key is not None
    with memory.database.reading() as session:
        rows = [*session.execute(text("SELECT * FROM api_keys")), *session.execute(text("SELECT * FROM operator_keys"))]
        wire = organisations.key_to_wire(organisations.list_keys(session, made.organization.id)[0])
    for secret in (made.key, made.operator_key):
        assert secret[10:] not in repr(rows)
    assert wire.key is None
    assert made.key.startswith(wire.prefix) and len(wire.prefix) < 10


def test_first_start_makes_one_organization_with_a_key_once(memory: Memory) -> None:
    with memory.database.session() as session:
        made = organisations.first_start(session, memory.settings)
    assert made is not None and made.operator_key is not None
    assert made.key.startswith("af-") and len(made.key) == 43
    assert made.operator_key.startswith("af-operator-")
    with memory.database.session() as session:
        assert organisations.first_start(session, memory.settings) is None
        assert [row.name for row in organisations.list_all(session)] == ["default"]
        found = organisations.authenticate(session, made.key)
        assert found is not None and found.name == "default"
        assert organisations.is_operator(session, made.operator_key, memory.settings)
        assert not organisations.is_operator(session, made.key, memory.settings)
        assert organisations.authenticate(session, made.operator_key) is None


def test_operator_key_of_the_settings_is_not_made_anew(memory: Memory, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, operator_key="chosen-by-hand")  # type: ignore[arg-type]
    with memory.database.session() as session:
        made = organisations.first_start(session, settings)
        assert made is not None and made.operator_key is None
        assert organisations.is_operator(session, "chosen-by-hand", settings)
        assert not organisations.is_operator(session, "chosen-by-foot", settings)
        assert not organisations.is_operator(session, "", settings)
