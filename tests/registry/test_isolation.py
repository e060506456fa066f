"""No function that is given an organisation shows or changes anything of another one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

import pytest

import registry
from afinador.errors import InvalidRequestError, NotFoundError
from registry import jobs
from registry.ledger.tables import ApiKey, Organization, Table
from registry.models import base_models
from tests.registry.belongings import Belongings, is_given_an_organization

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop

MAKES_ITS_OWN = {
    "base_models.register",
    "files.create",
    "files.create_from_hub",
    "files.require_fetched",
    "job_logs.keep",
    "new_files.stored",
    "organisations.create_key",
}
"""Functions that only add to the organisation they are given."""
LOOKS_AT_NOTHING_ELSE = {"organisations.to_wire", "token_caches.folder_of", "token_caches.forget"}
"""Functions that only look at the row they are given, or at the folder of that organisation."""


@pytest.fixture
def belongings(workshop: Workshop, acme: Organization) -> Belongings:
    return Belongings(workshop, acme)


def test_every_function_that_is_given_an_organization_is_looked_at(belongings: Belongings) -> None:
    found = pkgutil.walk_packages(registry.__path__, "registry.")
    modules = [importlib.import_module(each.name) for each in found if "migrations" not in each.name]
    scoped = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_") and is_given_an_organization(function)
    }
    assert scoped == {*belongings.refused, *belongings.listed, *MAKES_ITS_OWN, *LOOKS_AT_NOTHING_ELSE}


def test_functions_of_the_flow_go_by_unguessable_job_ids_only() -> None:
    of_the_flow = ("claim", "look", "heartbeat", "set_progress", "set_fields", "mark_done", "finish", "requeue", "stop")
    for name in (*of_the_flow, "start_again", "withdraw_pause", "confirm_suspended", "resume_by_hand"):
        assert "job_id" in inspect.signature(getattr(jobs, name)).parameters


def test_lists_show_the_owner_everything_and_others_nothing(belongings: Belongings, globex: Organization) -> None:
    owner_id = belongings.job.organization_id
    with belongings.memory.database.reading() as session:
        for name, looks in belongings.listed.items():
            for look in looks:
                assert look(session, owner_id), f"{name} must show the owner something, or this test shows nothing"
                assert not look(session, globex.id), f"{name} shows another organisation's rows"


def test_others_things_do_not_exist(belongings: Belongings, globex: Organization) -> None:
    for name, looks in belongings.refused.items():
        for look in looks:
            with (
                pytest.raises((NotFoundError, InvalidRequestError)) as caught,
                belongings.memory.database.session() as session,
            ):
                look(session, globex.id)
            assert "Did you mean" not in caught.value.message, f"{name} tells names of another organisation"


def test_refused_looks_of_others_changed_nothing(belongings: Belongings, globex: Organization) -> None:
    def picture() -> list[Any]:
        with belongings.memory.database.reading() as session:
            return [session.execute(table.select()).all() for table in Table.metadata.sorted_tables]

    before = picture()
    test_others_things_do_not_exist(belongings, globex)
    assert picture() == before


def test_public_base_models_are_seen_but_not_changed_by_others(
    workshop: Workshop, acme: Organization, globex: Organization
) -> None:
    workshop.base_model(acme, "open-llama", visibility="public")
    with workshop.memory.database.session() as session:
        assert base_models.find(session, workshop.memory, globex.id, "open-llama").name == "open-llama"
        assert [row.name for row in base_models.list_all(session, globex.id)] == ["open-llama"]
    workshop.upload(globex)
    assert workshop.job(globex, model="open-llama").organization_id == globex.id


def test_result_of_a_job_belongs_to_whom_the_job_belongs_to(belongings: Belongings) -> None:
    owner_id = belongings.job.organization_id
    with belongings.memory.database.reading() as session:
        for table in Table.metadata.sorted_tables:
            if "organization_id" in table.columns:
                owners = set(session.scalars(table.select().with_only_columns(table.c.organization_id)))
                assert owners <= {owner_id}, table.name
        assert session.get_one(ApiKey, belongings.key.id).organization_id == owner_id
