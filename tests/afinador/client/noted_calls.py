"""What a client asks of the service, noted."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.client import calls


def asked_by(client: Any, monkeypatch: pytest.MonkeyPatch) -> list[calls.Call]:
    """Note what a client asks from now on."""
    asked: list[calls.Call] = []
    connection = getattr(client.connection, "_wrapped", client.connection)
    original = connection._answer

    def answer(call: calls.Call, **parts: Any) -> Any:
        asked.append(call)
        return original(call, **parts)

    monkeypatch.setattr(connection, "_answer", answer)
    return asked
