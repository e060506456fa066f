"""Commands of the operator: organisations and their keys."""

from __future__ import annotations

import argparse

from afinador.cli import render
from afinador.cli.command import Command, Parser, UsageError
from afinador.cli.service import ask, ask_all, typed
from afinador.client import calls


def create_organization(arguments: argparse.Namespace) -> None:
    """Make an organisation."""
    organization = ask(calls.create_organization(arguments.name))
    if arguments.json:
        render.as_json(organization)
    else:
        render.result(organization["id"])
        render.remark(f"Its first key: afinador create api-key --organization {organization['name']}")


def list_organizations(arguments: argparse.Namespace) -> None:
    """Show the organisations."""
    render.listing(
        ask_all(calls.list_organizations()), False, arguments.json, ("name", "id", "limit", "priority", "created"),
        lambda each: (
            each["name"], each["id"], each["concurrency_limit"], each["priority"], render.moment(each["created_at"]),
        ),
    )  # fmt: skip


def update_organization(arguments: argparse.Namespace) -> None:
    """Set how an organisation shares the work pools."""
    given = {"concurrency_limit": arguments.concurrency_limit, "priority": arguments.priority}
    changed = {name: value for name, value in given.items() if value is not None}
    if not changed:
        raise UsageError("afinador update organization needs -concurrency-limit or -priority.")
    if changed.get("concurrency_limit") == "none":
        changed["concurrency_limit"] = None
    organization = ask(calls.update_organization(arguments.name, **changed))
    if arguments.json:
        render.as_json(organization)
    else:
        limit = organization["concurrency_limit"]
        at_once = "any number of jobs" if limit is None else "1 job" if limit == 1 else f"{limit} jobs"
        render.result(
            f"Organization {organization['name']}: {at_once} at once in each pool, priority {organization['priority']}."
        )


def create_key(arguments: argparse.Namespace) -> None:
    """Make a key and print it, this once."""
    key = ask(calls.create_api_key(arguments.organization, arguments.name))
    if arguments.json:
        render.as_json(key)
    else:
        render.result(key["key"])
        render.remark("Keep it: the service stores only a hash and cannot show it again.")


def list_keys(arguments: argparse.Namespace) -> None:
    """Show keys, by their first characters."""
    render.listing(
        ask_all(calls.list_api_keys(arguments.organization)), False, arguments.json,
        ("id", "organization", "name", "begins with", "created"),
        lambda key: (
            key["id"], key["organization_id"], key["name"], key["prefix"], render.moment(key["created_at"]),
        ),
    )  # fmt: skip


def delete_key(arguments: argparse.Namespace) -> None:
    """Revoke a key."""
    deleted = ask(calls.delete_api_key(arguments.key))
    render.deleted("api key", arguments.key, deleted, arguments.json)


def _add_new_key(parser: Parser) -> None:
    parser.add_argument("--organization", "--organisation", required=True, metavar="NAME", help="name or id")
    parser.add_argument("--name", default="default", metavar="TEXT", help="what the key is for (default: default)")


def _add_key_list(parser: Parser) -> None:
    parser.add_argument("--organization", "--organisation", metavar="NAME", help="only this one's")


def _add_update(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name or id")
    parser.add_argument(
        "--concurrency-limit", type=typed, metavar="N", help="jobs at once in each work pool, or none for no limit"
    )
    parser.add_argument("--priority", type=typed, metavar="P", help="its jobs come before those of a lower one")


COMMANDS = (
    Command(
        ("create", "organization"), "Make an organisation (operator)", create_organization,
        lambda parser: parser.add_argument("name", metavar="NAME", help="lower-case letters, digits and dashes"),
        examples=("afinador create organization acme",),
    ),
    Command(
        ("list", "organization"), "List the organisations (operator)", list_organizations,
        examples=("afinador list organization",),
    ),
    Command(
        ("update", "organization"), "Set limit and priority of an organisation (operator)", update_organization,
        _add_update,
        examples=("afinador update organization acme -concurrency-limit 2 -priority 10",),
    ),
    Command(
        ("create", "api-key"), "Make a key of an organisation and print it, once (operator)", create_key, _add_new_key,
        examples=("afinador create api-key --organization acme --name laptop",),
    ),
    Command(
        ("list", "api-key"), "List keys (operator)", list_keys, _add_key_list,
        examples=("afinador list api-key --organization acme",),
    ),
    Command(
        ("delete", "api-key"), "Revoke a key (operator)", delete_key,
        lambda parser: parser.add_argument("key", metavar="ID", help="the key's id, as list api-key shows it"),
        examples=("afinador delete api-key key_abc123",),
    ),
)  # fmt: skip
