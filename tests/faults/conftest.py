"""The stack that is disturbed and crowded, started once for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stack import Stack, register_tiny, start, stop

SLOTS = 2


@pytest.fixture(scope="package")
def rough_stack(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that nobody else needs and that runs two jobs at once, with the base model ``tiny`` registered."""
    running = start(root, tmp_path_factory.mktemp("rough") / "home", AFINADOR_CPU_SLOTS=str(SLOTS))
    try:
        register_tiny(running)
        yield running
    finally:
        stop(running)
