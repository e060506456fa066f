"""``python -m api``: serve the API with the settings of the environment."""

from __future__ import annotations

import argparse
import logging
import sys

import uvicorn

from afinador.errors import AfinadorError
from afinador.settings import Settings
from api.app import create_app
from registry.database import upgrade
from registry.memory import Memory

SHUTDOWN_SECONDS = 3


def main() -> int:
    """Serve until a signal comes; warnings go to standard error."""
    settings = Settings()
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--host", default=settings.host, help="address to listen on (AFINADOR_HOST)")
    parser.add_argument("--port", type=int, default=settings.port, help="port to listen on (AFINADOR_PORT)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        upgrade(settings.ledger_url)
        app = create_app(Memory.open(settings))
    except AfinadorError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    uvicorn.run(
        app, host=arguments.host, port=arguments.port, log_level="warning", access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
