"""``python -m api``: serve the API with the settings of the environment."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from types import FrameType

import uvicorn
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from afinador.errors import AfinadorError
from afinador.settings import read_settings
from api.app import create_app
from registry.ledger.database import upgrade
from registry.memory import Memory

SHUTDOWN_SECONDS = 3


def main() -> int:
    """Serve until a signal comes; warnings go to standard error."""
    try:
        settings = read_settings()
    except AfinadorError as error:
        return _refuse(error.message)
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--host", default=settings.host, help="address to listen on (AFINADOR_HOST)")
    parser.add_argument("--port", type=int, default=settings.port, help="port to listen on (AFINADOR_PORT)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        upgrade(settings.ledger_url)
        app = create_app(Memory.open(settings))
    except AfinadorError as error:
        return _refuse(error.message)
    except OperationalError:
        # What the driver says may hold the password.
        address = make_url(settings.ledger_url).render_as_string(hide_password=True)
        return _refuse(f"The ledger {address} does not answer; see AFINADOR_DATABASE_URL.")
    config = uvicorn.Config(
        app,
        host=arguments.host,
        port=arguments.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    # What the imports have left lives as long as the process; looking through it again and again took 100 ms a time.
    gc.collect()
    gc.freeze()
    server = _Server(config)
    server.run()
    return 0 if server.started else 1


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


class _Server(uvicorn.Server):
    """Ends answers that have no end of their own before it waits for all answers to end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.config.app.state.service.stop()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)


if __name__ == "__main__":
    sys.exit(main())
