"""Ports that nobody listens on."""

from __future__ import annotations

import socket
from collections.abc import Collection

from afinador.errors import ConfigurationError

_TRIES = 100


def choose_port(host: str, wanted: int, chosen: Collection[int] = ()) -> int:
    """Return ``wanted`` if it is free on ``host``, else the next one that is.

    Args:
        host: Address to be bound.
        wanted: From 1 to 65535, or 0 for any free one.
        chosen: Ports given out already, to programs that do not listen yet.

    Raises:
        ConfigurationError: The address cannot be bound, or none of the hundred ports from ``wanted`` on is free.
    """
    candidates = range(wanted, min(wanted + _TRIES, 65536)) if wanted else [0] * _TRIES
    for candidate in candidates:
        port = _bind(host, candidate)
        if port is not None and port not in chosen:
            return port
    raise ConfigurationError(
        f"None of the ports {wanted} to {wanted + _TRIES - 1} can be bound on {host!r}. "
        "Name another with --port, --prefect-port or --mlflow-port, or another address with --host."
    )


def _bind(host: str, port: int) -> int | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # As servers do it: a port whose last connections are still closing counts as free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except socket.gaierror as error:
            raise ConfigurationError(f"{host!r} is no address of this machine: {error.strerror}.") from error
        except OSError:
            return None
        return int(listener.getsockname()[1])


def reachable(host: str) -> str:
    """Return the address under which this machine reaches what is bound to ``host``, fit for a URL."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
