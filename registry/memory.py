"""What a process of the service holds on to: settings, ledger, storage and the operator's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from afinador.config.operator import read_operator_config
from afinador.settings import Settings
from afinador.storage import Storage
from registry.ledger.database import Database


@dataclass
class Memory:
    """The open memory of one process.

    Attributes:
        operator: The operator's file (``AFINADOR_CONFIG``); empty without one.
    """

    settings: Settings
    database: Database
    storage: Storage
    operator: dict[str, Any]

    @classmethod
    def open(cls, settings: Settings, *, patience_seconds: float = 0.0) -> Memory:
        """Open ledger and storage; the ledger must have been migrated (``registry.ledger.database.upgrade``).

        Args:
            settings: Where they are.
            patience_seconds: See ``registry.ledger.database.Database``.

        Raises:
            ConfigurationError: The operator's file cannot be read or does not fit.
        """
        return cls(
            settings=settings,
            database=Database(settings.ledger_url, patience_seconds=patience_seconds),
            storage=Storage(settings.bytes_url),
            operator=read_operator_config(settings.config),
        )
