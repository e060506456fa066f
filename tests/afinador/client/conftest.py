from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from afinador import Afinador


@pytest.fixture
def client(service: Any) -> Iterator[Afinador]:
    with Afinador(service.url, service.key, service.operator_key) as opened:
        yield opened
