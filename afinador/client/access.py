"""Where the service is and who asks, from the environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from afinador.client.calls import Call
from afinador.errors import InvalidRequestError

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
DEFAULT_HOME = "~/.local/share/afinador"
_OWN_ADDRESS = re.compile(r"\w+://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)")


@dataclass(frozen=True)
class Access:
    """An address and the keys for it.

    Attributes:
        base_url: With or without ``/v1`` at its end.
        api_key: Key of an organisation.
        operator_key: For what only the operator may do.
    """

    base_url: str = DEFAULT_BASE_URL
    api_key: str | None = field(default=None, repr=False)
    operator_key: str | None = field(default=None, repr=False)

    @property
    def root_url(self) -> str:
        """The address without ``/v1`` and without a slash at its end."""
        return self.base_url.rstrip("/").removesuffix("/v1").rstrip("/")

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the service sees the same disk as we do."""
        return _OWN_ADDRESS.match(self.root_url) is not None

    def key_for(self, call: Call) -> str | None:
        """Return the key to sign a call with: the one it is meant for, else the one that there is."""
        keys = (self.operator_key, self.api_key) if call.as_operator else (self.api_key, self.operator_key)
        return keys[0] or keys[1]

    @classmethod
    def given(cls, base_url: str | None, api_key: str | None, operator_key: str | None) -> Access:
        """Take what is given, and from the environment what is not.

        Raises:
            InvalidRequestError: Something is given that is empty, as a variable is that was never set: the environment's
                key may be another organisation's.
        """
        for name, value in (("base_url", base_url), ("api_key", api_key), ("operator_key", operator_key)):
            if value is not None and not value.strip():
                raise InvalidRequestError(
                    f"{name} is {value!r}, an empty text. Give one, or leave it out, which takes AFINADOR_{name.upper()} "
                    "of the environment.",
                    param=name,
                )
        found = cls.from_environment()
        return cls(base_url or found.base_url, api_key or found.api_key, operator_key or found.operator_key)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Access:
        """Read ``AFINADOR_BASE_URL``, ``AFINADOR_API_KEY`` and ``AFINADOR_OPERATOR_KEY``.

        Without an address: that of the service that runs on ``AFINADOR_HOME``, else port 8000 of this machine.

        They mean what they mean in ``afinador.settings.Settings``, whose import alone takes longer than most calls;
        this reads them without pydantic.

        Args:
            environment: The process's own if omitted; wins over the file.
            folder: Where a ``.env`` file may lie; the working directory if omitted.
        """
        values = _read_env_file((folder or Path.cwd()) / ".env")
        values |= {key: value for key, value in (environment or os.environ).items() if value}
        return cls(
            base_url=values.get("AFINADOR_BASE_URL") or _recorded_url(values) or DEFAULT_BASE_URL,
            api_key=values.get("AFINADOR_API_KEY"),
            operator_key=values.get("AFINADOR_OPERATOR_KEY"),
        )


def _read_env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values  # only where there is such a file: most calls have none to read

    return {key: value for key, value in dotenv_values(path, encoding="utf-8").items() if value}


def _recorded_url(values: Mapping[str, str]) -> str | None:
    """Return where the stack on the home says that its API is; it takes another port when the usual one is taken."""
    record = Path(values.get("AFINADOR_HOME") or DEFAULT_HOME).expanduser() / "stack.json"
    try:
        url = json.loads(record.read_text(encoding="utf-8"))["urls"]["api"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return url if isinstance(url, str) else None
