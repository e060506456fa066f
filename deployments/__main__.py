"""``python -m deployments up | demo | db-upgrade | apply``, run from the repository's root."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from afinador.errors import AfinadorError
from afinador.settings import read_settings
from deployments import up as starting


def main(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except AfinadorError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="afinador", description="The one-machine stack.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="run everything in the foreground until Ctrl-C")
    up.add_argument("--home", type=Path, help="folder of all local state (AFINADOR_HOME)")
    up.add_argument("--host", help="address that all parts bind to (AFINADOR_HOST; 127.0.0.1)")
    up.add_argument("--port", type=int, help="port of the API (AFINADOR_PORT; 8000), 0 for any free one")
    up.add_argument("--prefect-port", type=int, default=starting.PREFECT_PORT, help="port of Prefect's server")
    up.add_argument("--mlflow-port", type=int, default=starting.MLFLOW_PORT, help="port of MLflow's pages")
    up.add_argument("--no-mlflow", action="store_true", help="without MLflow's pages; jobs need none")
    up.set_defaults(run=_up)
    upgrade = commands.add_parser("db-upgrade", help="bring the schemas of ledger and MLflow up to date")
    upgrade.set_defaults(run=_db_upgrade)
    apply = commands.add_parser("apply", help="write work pools and deployments of prefect.yaml into Prefect")
    apply.set_defaults(run=_apply)
    demo = commands.add_parser("demo", help="run the main job once, on a home of its own, and print what came of it")
    demo.add_argument("--model", help="hf://owner/name[@revision] instead of the project's own tiny base model")
    demo.set_defaults(run=_demo)
    return parser


def _up(options: argparse.Namespace) -> None:
    given = {name: value for name in ("home", "host") if (value := getattr(options, name)) is not None}
    # Through the constructor, so that they are checked as the environment's are.
    settings = read_settings(**given)
    wishes = starting.Wishes(options.prefect_port, options.mlflow_port, options.port, not options.no_mlflow)
    starting.up(settings, wishes)


def _db_upgrade(options: argparse.Namespace) -> None:
    from registry.ledger import database
    from registry.tracking import experiments  # SQLAlchemy is of no use to the other commands

    settings = read_settings()
    database.upgrade(settings.ledger_url)
    experiments.upgrade(settings)


def _demo(options: argparse.Namespace) -> int:
    from deployments.demo import demo  # the terminal's tables and the client are of no use to the other commands

    return demo(options.model)


def _apply(options: argparse.Namespace) -> None:
    import asyncio

    from deployments.apply import apply  # imports Prefect, which takes two seconds
    from deployments.definition import Definition

    asyncio.run(apply(Definition.read(starting.ROOT, os.environ)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
