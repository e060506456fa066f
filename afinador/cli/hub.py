"""Commands on the hub: the models and adapters that the organisation's jobs made."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from afinador.cli import render
from afinador.cli.command import Command, Parser
from afinador.cli.files import named
from afinador.cli.service import ask, ask_all, connect
from afinador.client import calls
from afinador.figures import counted


def _list(kind: calls.Kind) -> Callable[[argparse.Namespace], None]:
    def run(arguments: argparse.Namespace) -> None:
        found = ask_all(calls.list_hub(kind))
        render.listing(
            found, False, arguments.json,
            ("name", "version", "base model", "method", "loss", "size", "created"),
            lambda entry: (
                entry["name"], entry["version"], entry["base_model"], entry["tuning_method"], _tuned_loss(entry),
                render.size(_bytes(entry)), render.moment(entry["created_at"]),
            ),
        )  # fmt: skip
        if not found and not arguments.json:
            _say_what_else_there_is("adapter" if kind == "model" else "model")

    return run


def _say_what_else_there_is(kind: calls.Kind) -> None:
    """Point from an empty list to the other one: who tuned with LoRA looks for a model, and has an adapter."""
    number = len(ask_all(calls.list_hub(kind)))
    if number:
        render.remark(
            f"But there {'is 1' if number == 1 else f'are {number}'} of the other kind: afinador list hub-{kind}"
        )


def _bytes(entry: dict[str, Any]) -> int:
    return sum(file["bytes"] for file in entry["files"])


def _tuned_loss(entry: dict[str, Any]) -> float | None:
    tuned = entry["metrics"].get("tuned")
    return tuned.get("loss") if isinstance(tuned, dict) else None


def _get(kind: calls.Kind) -> Callable[[argparse.Namespace], None]:
    def run(arguments: argparse.Namespace) -> None:
        with connect() as connection:
            entry = connection.json(calls.get_hub(kind, arguments.name))
            dataset = None if arguments.json or arguments.tree else named(connection, entry["dataset"])
            if arguments.download:
                from afinador.cli.transfer import bytes_bar
                from afinador.client.downloads import download_hub

                folder = Path(arguments.download).expanduser()
                with bytes_bar(f"Fetching {entry['name']}") as report:
                    fetched = download_hub(
                        connection, kind, arguments.name, folder, lambda _, done_bytes, total: report(done_bytes, total)
                    )
                render.remark(
                    f"Fetched {counted(len(fetched), 'file')} to {folder}, {render.size(_bytes(entry))}, SHA-256 checked."
                )
        if arguments.json:
            render.as_json(entry)
        elif arguments.tree:
            render.result(_tree(entry))
        else:
            render.result(render.fields(_facts(entry, dataset)))

    return run


def _facts(entry: dict[str, Any], dataset: str | None) -> list[tuple[str, Any]]:

    comparison = render.comparison_of(entry)
    return [
        ("name", entry["name"]),
        ("kind", entry["kind"]),
        ("version", entry["version"]),
        ("versions", entry["versions"]),
        ("alias", entry["id"]),
        ("base model", entry["base_model"]),
        ("started from", entry.get("started_from")),
        ("dataset", dataset),
        ("job", entry["job_id"]),
        ("method", entry["tuning_method"]),
        ("task", entry["task"]),
        ("hyperparameters", _hyperparameters(entry)),
        ("created", render.moment(entry["created_at"])),
        ("domain", entry.get("domain")),
        ("tags", entry.get("tags")),
        ("size", f"{render.size(_bytes(entry))} in {counted(len(entry['files']), 'file')}"),
        ("lies in", entry["uri"]),
        ("measured", f"\n\n{comparison}" if comparison else None),
    ]


def _hyperparameters(entry: dict[str, Any]) -> str:
    """Return those that differ from this version's defaults, and those that matter most; one a line."""
    from afinador.config.hyperparameters import METHODS_TODAY  # YAML, needed by this command alone
    from afinador.config.limits import limits_of

    values, method = entry["parameters"], entry["tuning_method"]
    limits = limits_of(method) if method in METHODS_TODAY else {}
    lines = [
        f"{name} {render.text(value)}"
        for name, value in values.items()
        if name in (*render.ALWAYS_SHOWN, "lora_rank") or name not in limits or value != limits[name]["default"]
    ]
    return "\n".join([*lines, *(["All others are defaults; --json shows them."] if len(values) > len(lines) else [])])


def _tree(entry: dict[str, Any]) -> str:
    """Return the files as a tree, folders before their files' names."""
    lines = [f"{entry['name']} (version {entry['version']}, {render.size(_bytes(entry))})"]
    shown: set[tuple[str, ...]] = set()
    for file in sorted(entry["files"], key=lambda file: file["path"].split("/")):
        *folders, name = file["path"].split("/")
        for depth in range(1, len(folders) + 1):
            if (folder := tuple(folders[:depth])) not in shown:
                shown.add(folder)
                lines.append(f"{'  ' * depth}{folder[-1]}/")
        lines.append(f"{'  ' * (len(folders) + 1)}{name}  {render.size(file['bytes'])}")
    return "\n".join(lines)


def _delete(kind: calls.Kind) -> Callable[[argparse.Namespace], None]:
    def run(arguments: argparse.Namespace) -> None:
        deleted = ask(calls.delete_hub(kind, arguments.name))
        render.deleted(f"hub {kind}", arguments.name, deleted, arguments.json)

    return run


def _add_get(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="hub name (its newest version), or the alias ft:… of one version")
    parser.add_argument("--download", metavar="DIR", help="fetch all files into this folder, SHA-256 checked")
    parser.add_argument("--tree", action="store_true", help="show the files")


def _add_delete(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="hub name (all its versions), or the alias ft:… of one version")


def _commands(kind: calls.Kind) -> tuple[Command, ...]:
    noun = f"hub-{kind}"
    a_kind = "an adapter" if kind == "adapter" else "a model"
    return (
        Command(
            ("list", noun), f"List the {kind}s in your organisation's hub", _list(kind),
            examples=(f"afinador list {noun}", f"afinador list {noun}s --json"),
        ),
        Command(
            ("get", noun), f"Show or fetch {a_kind} of the hub", _get(kind), _add_get,
            examples=(f"afinador get {noun} bert-qa", f"afinador get {noun} bert-qa --download bert-qa/ --tree"),
            details="Either noun finds a name, whatever its kind is.",
        ),
        Command(
            ("delete", noun), f"Delete {a_kind} of the hub, files and entry", _delete(kind), _add_delete,
            examples=(f"afinador delete {noun} bert-qa",),
        ),
    )  # fmt: skip


COMMANDS = (*_commands("model"), *_commands("adapter"))
