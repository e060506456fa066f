"""Commands that start the service: they hand on to ``python -m deployments`` in the clone."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

import afinador
from afinador.cli.command import Command, Parser
from afinador.errors import ConfigurationError


def root_folder() -> Path:
    """Return the clone: ``AFINADOR_ROOT``, or the folder above the package.

    Raises:
        ConfigurationError: The service is not there; only the library is installed.
    """
    named = os.environ.get("AFINADOR_ROOT")
    root = Path(named).expanduser() if named else Path(afinador.__file__).parent.parent
    if not (root / "deployments" / "__main__.py").is_file():
        where = f"AFINADOR_ROOT, {named!r}," if named else f"{str(root)!r}, where the library is installed,"
        raise ConfigurationError(
            f"{where} does not hold the service; set AFINADOR_ROOT to a clone of the repository with its environment."
        )
    return root.resolve()


def _hand_on(words: list[str]) -> NoReturn:
    """Become ``python -m deployments WORDS`` in the clone: signals and the exit code are then its own."""
    root = root_folder()
    if home := os.environ.get("AFINADOR_HOME"):
        os.environ["AFINADOR_HOME"] = str(Path(home).expanduser().absolute())  # it means the folder that we are in now
    os.chdir(root)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "deployments", *words])


def up(arguments: argparse.Namespace) -> NoReturn:
    """Start the whole service on this machine."""
    words = ["--no-mlflow"] if arguments.no_mlflow else []
    for option in ("host", "port", "prefect_port", "mlflow_port"):
        if (value := getattr(arguments, option)) is not None:
            words += [f"--{option.replace('_', '-')}", value]
    if arguments.home is not None:
        words += ["--home", str(Path(arguments.home).expanduser().absolute())]
    _hand_on(["up", *words])


def upgrade(_: argparse.Namespace) -> NoReturn:
    """Bring the schemas of ledger and MLflow to the newest version."""
    _hand_on(["db-upgrade"])


def _add_up(parser: Parser) -> None:
    parser.add_argument("--home", metavar="DIR", help="folder of all local state (AFINADOR_HOME)")
    parser.add_argument("--host", metavar="ADDRESS", help="that all parts bind to (AFINADOR_HOST, 127.0.0.1)")
    parser.add_argument("--port", metavar="N", help="of the API (AFINADOR_PORT, 8000); the next free one is taken")
    parser.add_argument("--prefect-port", metavar="N", help="of Prefect's server")
    parser.add_argument("--mlflow-port", metavar="N", help="of MLflow's pages")
    parser.add_argument("--no-mlflow", action="store_true", help="without MLflow's pages; jobs need none")


COMMANDS = (
    Command(
        ("up",), "Start the whole service on this machine, in the foreground; Ctrl-C stops it", up, _add_up,
        prints=False, examples=("afinador up", "afinador up --port 8080 --home ~/afinador"),
        details="Runs python -m deployments up in the clone (AFINADOR_ROOT, or the folder above the package).",
    ),
    Command(
        ("db", "upgrade"), "Create or upgrade the databases; up does it too", upgrade, prints=False,
        examples=("afinador db upgrade",),
    ),
)  # fmt: skip
