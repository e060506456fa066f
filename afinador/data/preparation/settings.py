"""What a person has written for one step, read key by key; whatever is wrong is said with step, key, value and remedy."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from afinador.data.quoting import shortened
from afinador.errors import InvalidRequestError, UnknownFieldError, nearest


class Settings:
    """The keys of one step.

    Args:
        number: Of the step in its pipeline, from 1.
        kind: Its ``type``.
        values: All its keys.
    """

    def __init__(self, number: int, kind: str, values: Mapping[str, Any]) -> None:
        self.number, self.kind, self._values = number, kind, values

    @property
    def place(self) -> str:
        """Which step it is, as the beginning of a sentence: ``Step 2 (filter)``."""
        return f"Step {self.number} ({self.kind})"

    def has(self, key: str) -> bool:
        """Tell whether a key is given and not null."""
        return self._values.get(key) is not None

    def allow(self, keys: Iterable[str]) -> None:
        """Refuse all keys but these.

        Raises:
            UnknownFieldError: There is another one; names what there is, and the nearest.
        """
        allowed = [*keys]
        for key in self._values:
            if key not in (*allowed, "type", "only"):
                takes = ", ".join([*allowed, "only"])
                raise UnknownFieldError(
                    f"{self.place} has {shortened(key)}; beside 'type' it takes: {takes}.{nearest(str(key), allowed)}",
                    param=self.param(key),
                )

    def param(self, key: object) -> str:
        """Return the place of a key in the pipeline."""
        return f"steps[{self.number - 1}].{key}"

    def fault(self, key: str, allowed: str, near: Collection[str] = ()) -> InvalidRequestError:
        """Return the error that says what a key is and what it must be."""
        given = self._values.get(key)
        is_what = f"is {shortened(given)}; it" if key in self._values else "is missing; it"
        close = nearest(given, near) if isinstance(given, str) and near else ""
        return InvalidRequestError(f"{self.place}: {key} {is_what} must be {allowed}.{close}", param=self.param(key))

    def text(self, key: str, what: str, default: str | None = None) -> str:
        """Return a text that is not empty.

        Args:
            key: Its name.
            what: What it holds, for the error: ``a template such as …``.
            default: Where it is not given; None: it must be.

        Raises:
            InvalidRequestError: It is missing or no text.
        """
        value = self._values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not (value or default == ""):
            raise self.fault(key, what)
        return value

    def optional_text(self, key: str, what: str) -> str | None:
        """Return a text, or None where it is not given."""
        return self.text(key, what) if self.has(key) else None

    def choice(self, key: str, allowed: Collection[str], default: str | None = None) -> str:
        """Return one of several words.

        Raises:
            InvalidRequestError: It is none of them; names them and the nearest.
        """
        value = self._values.get(key, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.fault(key, f"one of: {', '.join(allowed)}", allowed)
        return value

    def number_of(self, key: str, least: float, most: float, default: float | None = None) -> float:
        """Return a number within a range.

        Raises:
            InvalidRequestError: It is missing, none, or outside.
        """
        value = self._values.get(key)
        value = default if value is None else value
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not least <= value <= most:  # type: ignore[operator]
            raise self.fault(key, f"a number from {least:g} to {most:g}")
        return float(value)  # type: ignore[arg-type]

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """Return a whole number within a range.

        Raises:
            InvalidRequestError: It is missing, none, or outside.
        """
        value = self._values.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.fault(key, f"a whole number from {least} to {most}")
        return value

    def seed(self) -> int:
        """Return the seed, 0 if none is given."""
        return self.whole("seed", 0, 2**32 - 1, 0)

    def flag(self, key: str) -> bool:
        """Return true or false; false if it is not given.

        Raises:
            InvalidRequestError: It is something else.
        """
        value = self._values.get(key, False)
        if not isinstance(value, bool):
            raise self.fault(key, "true or false")
        return value

    def names(self, key: str, example: str) -> dict[str, str]:
        """Return pairs of texts.

        Raises:
            InvalidRequestError: They are none.
        """
        value = self._values.get(key)
        if (
            not isinstance(value, Mapping)
            or not value
            or not all(isinstance(t, str) for pair in value.items() for t in pair)
        ):
            raise self.fault(key, f"an object with old and new names, such as {example}")
        return dict(value)

    def list_of_texts(self, key: str, what: str) -> list[str]:
        """Return a list of texts, of one at least.

        Raises:
            InvalidRequestError: It is something else.
        """
        value = self._values.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            raise self.fault(key, what)
        return list(value)

    def part(self, parts: Collection[str]) -> str | None:
        """Return the part of the data set that the step is only for, None for all.

        Raises:
            InvalidRequestError: It is none of the parts that there are before this step.
        """
        if not self.has("only"):
            return None
        if not parts:
            raise self.fault("only", "left out, for no step before this one splits the data set; put a split before it")
        return self.choice("only", parts)
