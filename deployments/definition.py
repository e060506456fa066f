"""What prefect.yaml says, with its variables filled in."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from afinador.errors import ConfigurationError

_VARIABLE = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")


@dataclass(frozen=True)
class Definition:
    """Work pools and deployments.

    Attributes:
        work_pools: As under ``definitions.work_pools``.
        deployments: As under ``deployments``; without a work pool's job variables they have none.
        digest: Changes with whatever could make Prefect's copy out of date; kept there as the deployments' version.
    """

    work_pools: list[dict[str, Any]]
    deployments: list[dict[str, Any]]
    digest: str

    @classmethod
    def read(cls, root: Path, variables: Mapping[str, str]) -> Definition:
        """Read ``prefect.yaml`` of the repository ``root``; ``{{ $NAME }}`` is replaced by a variable of that name.

        Raises:
            ConfigurationError: The file is absent or broken, or names a variable that is not given.
        """
        path = root / "prefect.yaml"
        try:
            content = _filled(yaml.safe_load(path.read_text()), variables)
            work_pools, deployments = content["definitions"]["work_pools"], content["deployments"]
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.strerror}. Run from the repository's root."
            ) from error
        except yaml.YAMLError as error:
            raise ConfigurationError(f"{path} is no YAML: {error}") from error
        except (KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} needs 'deployments' and 'definitions.work_pools'.") from error
        return cls(work_pools, deployments, _digest(root, content))


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match[1], variables), value)
    return value


def _variable(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise ConfigurationError(f"prefect.yaml names the variable {name}, which is not set; `afinador up` sets it.")
    return variables[name]


def _digest(root: Path, content: Any) -> str:
    """Digest the resolved file, the versions, and the flows: Prefect keeps a copy of their parameters' schema."""
    digest = hashlib.sha256(repr(content).encode())
    for package in ("prefect", "afinador"):
        digest.update(importlib.metadata.version(package).encode())
    schemas = [
        root / "afinador" / "config" / "hyperparameters.py",
        *(root / "afinador" / "config").glob("defaults/*.yaml"),
    ]
    for path in sorted([*(root / "flows").glob("*.py"), *schemas]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
