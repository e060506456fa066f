"""``promote_if``: the condition under which a new version becomes the champion of its name.

::

    condition = metric comparison standard
    metric    = valid_loss | loss | perplexity | accuracy | macro_f1 | exact_match
    comparison = < | <= | > | >=
    standard  = a number | champion | base
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from afinador.errors import InvalidRequestError, nearest
from afinador.wording import shown

METRICS = ("valid_loss", "loss", "perplexity", "accuracy", "macro_f1", "exact_match")
"""Figures that a condition may name, of the evaluation on the validation file; ``valid_loss`` is ``loss``."""

NOT_MEASURED = {"causal_lm": ("macro_f1",), "sequence_classification": ("perplexity", "exact_match")}
"""Those that a task does not have."""

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(
    r"\s*(?P<metric>[A-Za-z_]\w*)\s*(?P<comparison><=|>=|<|>)\s*"
    r"(?P<standard>champion|base|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*"
)


@dataclass(frozen=True)
class Condition:
    """A parsed condition.

    Attributes:
        metric: As in ``evaluation.json``.
        comparison: ``<``, ``<=``, ``>`` or ``>=``.
        standard: ``champion``, ``base`` or a number.
    """

    metric: str
    comparison: str
    standard: str | float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            InvalidRequestError: It is none, or names a figure that is not measured.
        """
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise InvalidRequestError(
                f"promote_if is {shown(text)}; it must be 'METRIC < STANDARD' (or <=, >, >=), where the standard is a "
                "number, champion or base, as in 'valid_loss < champion' or 'exact_match >= 0.8'.",
                param="hyperparameters.promote_if",
            )
        metric, comparison, standard = match.group("metric", "comparison", "standard")
        if metric not in METRICS:
            raise InvalidRequestError(
                f"promote_if names the metric {shown(metric)}.{nearest(metric, METRICS)} There are: {', '.join(METRICS)}.",
                param="hyperparameters.promote_if",
            )
        metric = "loss" if metric == "valid_loss" else metric
        return cls(metric, comparison, standard if standard in ("champion", "base") else float(standard))

    def decide(
        self, metrics: Mapping[str, Any], champion: Mapping[str, Any] | None
    ) -> tuple[bool, float | None, float | None]:
        """Compare.

        Args:
            metrics: Of the new version: ``{"base": {…}, "tuned": {…}}``.
            champion: The same of the present champion, or None when there is none: whoever is to beat it has won.

        Returns:
            Whether the condition holds, and the two numbers that were compared. It does not hold where one of them
            was not measured.
        """
        value = _figure(metrics.get("tuned"), self.metric)
        if self.standard == "champion":
            if champion is None:
                return value is not None, value, None
            standard = _figure(champion.get("tuned"), self.metric)
        elif self.standard == "base":
            standard = _figure(metrics.get("base"), self.metric)
        else:
            standard = float(self.standard)
        if value is None or standard is None:
            return False, value, standard
        return _COMPARISONS[self.comparison](value, standard), value, standard


def _figure(figures: Any, metric: str) -> float | None:
    value = figures.get(metric) if isinstance(figures, Mapping) else None
    return float(value) if isinstance(value, int | float) else None
