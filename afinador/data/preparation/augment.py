"""``augment``: adds copies of records with noise in what is asked, not in what is learnt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work, with_fields
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.texts import changed_in, changed_said, require_field
from afinador.data.shapes import SHAPES, shape_of
from afinador.errors import DataError

Noise = Callable[[str, Random], str]


def _swap(word: str, random: Random) -> str:
    at = random.randrange(max(1, len(word) - 1))
    return word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :]


def _drop(word: str, random: Random) -> str:
    at = random.randrange(len(word))
    return word[:at] + word[at + 1 :] if len(word) > 1 else word


def _repeat(word: str, random: Random) -> str:
    at = random.randrange(len(word))
    return word[: at + 1] + word[at:]


NOISES: dict[str, Noise] = {
    "swap_characters": _swap,
    "drop_character": _drop,
    "repeat_character": _repeat,
    "change_case": lambda word, random: word.swapcase(),
    "drop_word": lambda word, random: "",
}
"""What is done to one word."""


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    names = settings.list_of_texts("noises", "a list") if settings.has("noises") else list(NOISES)
    for name in names:
        if name not in NOISES:
            raise settings.fault("noises", f"a list of: {', '.join(NOISES)}", NOISES)
    noises = [NOISES[name] for name in names]
    copies = settings.whole("copies", 1, 100, 1)
    rate = settings.number_of("rate", 0, 1, 0.1)
    field = settings.optional_text("field", "the name of a field")
    seed = settings.seed()

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        random = Random(seed)
        for row in rows:
            yield row
            for _ in range(copies):
                copy = _noisy(row, field, lambda text: with_noise(text, noises, rate, random))
                if copy.record.fields != row.record.fields:
                    tally.changed += 1
                    yield copy

    return work


def with_noise(text: str, noises: list[Noise], rate: float, random: Random) -> str:
    """Return a text in which each word has been changed with a probability; of several words that would all go one stays."""
    words = re.split(r"(\s+)", text)
    made = [
        random.choice(noises)(word, random) if index % 2 == 0 and word and random.random() < rate else word
        for index, word in enumerate(words)
    ]
    if any(word.strip() for word in made):
        return "".join(made)
    own = text.split()
    return random.choice(own) if len(own) > 1 else text


def _noisy(row: Row, field: str | None, change: Callable[[str], str]) -> Row:
    fields = row.record.fields
    names, roles = ((field,), None) if field else _asked(row)
    made: dict[str, Any] = dict(fields)
    for name in names:
        if name in fields or field:
            require_field(row.record, name)
            made[name] = (changed_in if field else changed_said)(fields[name], change, roles)
    return with_fields(row, made)


def _asked(row: Row) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Return the fields of a record that are asked and not learnt; of a conversation the roles that ask."""
    shape = shape_of(row.record.fields)
    if shape is None or not SHAPES[shape].asked:
        what = f"of the shape {shape}, which is learnt whole" if shape else "of no known shape"
        raise DataError(f"{row.record.place} is {what}. Name the field that shall have noise, as 'field'.")
    asked = SHAPES[shape].asked
    if SHAPES[shape].is_pair:
        return asked, ("user",)
    return (SHAPES[shape].fields, asked) if shape in ("messages", "sharegpt") else (asked, None)


KIND = StepKind(
    name="augment",
    description="Adds copies of records with noise in what is asked; behind a split to `train` alone, for noise in the other parts would be measured.",
    keys={
        "noises": f"a list of {', '.join(f'`{name}`' for name in NOISES)}; all if omitted. Where `drop_word` would leave no word, one stays",
        "copies": "how many copies of each record, 1 to 100; 1 if omitted",
        "rate": "the probability that a word is changed, 0 to 1; 0.1 if omitted",
        "field": "the field that has noise; if omitted, what the record asks: prompt, text, source, the user's messages",
        "seed": "of the noise; 0 if omitted",
    },
    make=_make,
)
