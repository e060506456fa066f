"""``transform``: changes texts, or sets fields, by an ``operation``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from afinador.data.places import PLACE, written
from afinador.data.preparation import rename
from afinador.data.preparation.patterns import Pattern, require_room
from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work, with_fields
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.texts import WRITTEN, changed_row, value_of
from afinador.data.quoting import shortened
from afinador.data.records import Record
from afinador.errors import DataError, InvalidRequestError

Change = Callable[[Row], Row]

OPERATIONS: dict[str, Callable[[str], str]] = {
    "lowercase": str.lower,
    "uppercase": str.upper,
    "strip": str.strip,
    "collapse_spaces": lambda text: " ".join(text.split()),
    "nfc": lambda text: unicodedata.normalize("NFC", text),
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
}
"""What is done with each text by itself."""

_FURTHER = ("template", "rename", "replace", "truncate")
_PLACE = re.compile(rf"{PLACE}|[{{}}]")


def _make(settings: Settings, means: Means) -> Work:
    name = settings.choice("operation", (*OPERATIONS, *_FURTHER))
    if name == "rename":
        return rename.make(settings, ("operation", "fields"))
    change = _changes(settings, name, means)

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        for row in rows:
            made = change(row)
            before, after = row.record.fields, made.record.fields
            touched = [
                name for name, value in after.items() if name not in before or not _are_same(value, before[name])
            ]
            tally.changed += bool(touched)
            for name in touched:
                tally.counts[name] = tally.counts.get(name, 0) + 1
            yield made

    return work


def _are_same(one: Any, other: Any) -> bool:
    return one is other or one == other  # NaN is not equal to itself


def _changes(settings: Settings, name: str, means: Means) -> Change:
    if name == "template":
        return _template(settings)
    if name == "replace":
        return _replacement(settings, means)
    if name == "truncate":
        return _truncation(settings)
    settings.allow(("operation", "field"))
    field = settings.optional_text("field", "the name of a field")
    return lambda row: changed_row(row, OPERATIONS[name], field)


def _template(settings: Settings) -> Change:
    settings.allow(("operation", "field", "template"))
    field = settings.text("field", "the name of the field that is set")
    template = settings.text("template", "a text with fields in braces, such as '{question}\\n{metadata.title}'")
    for found in _PLACE.finditer(template):
        if found[0] in ("{", "}") or (found[2] is not None and not found[2].strip()):
            raise InvalidRequestError(
                f"{settings.place}: the template {template!r} has a brace at character {found.start() + 1} that belongs "
                "to no name. Write {name} for a field, {{ and }} for the braces themselves.",
                param=settings.param("template"),
            )

    def filled(row: Row) -> Row:
        made = 0

        def value(found: re.Match[str]) -> str:
            nonlocal made
            piece = found[1][0] if found[1] else _written(row.record, found[2].strip(), settings.place)
            made += len(piece)
            require_room(made, settings.place, row.record)
            return piece

        return with_fields(row, {**row.record.fields, field: _PLACE.sub(value, template)})

    return filled


def _written(record: Record, name: str, place: str) -> str:
    value = value_of(record, name)
    if value is None:
        raise DataError(
            f"{record.place}: {shortened(name)} is null, and the template of {place} puts it into a text. Write a value, or "
            f"filter such records out first: has({name}).",
            fault="null_field",
        )
    return written(value)


def _replacement(settings: Settings, means: Means) -> Change:
    settings.allow(("operation", "field", "pattern", "replacement"))
    field = settings.optional_text("field", "the name of a field")
    source = settings.text("pattern", "a regular expression, such as '[0-9]+'")
    pattern = Pattern(source, settings.place, settings.param("pattern"), means.spent)
    written = settings.text("replacement", "a text, which may be left out to remove what is found", default="")
    replacement = pattern.replacement(written, settings.param("replacement"))
    return lambda row: changed_row(row, lambda text: pattern.replaced_in(text, replacement, row.record), field)


def _truncation(settings: Settings) -> Change:
    settings.allow(("operation", "field", "characters", "words", "keep"))
    if settings.has("characters") == settings.has("words"):
        raise InvalidRequestError(
            f"{settings.place} truncates by 'characters' or by 'words'; give one of them.",
            param=settings.param("characters"),
        )
    field = settings.optional_text("field", "the name of a field")
    keeps_start = settings.choice("keep", ("start", "end"), "start") == "start"
    most = settings.whole("characters" if settings.has("characters") else "words", 1, 10**9)

    def by_characters(text: str) -> str:
        return text[:most] if keeps_start else text[-most:]

    def by_words(text: str) -> str:
        words = [(found.start(), found.end()) for found in re.finditer(r"\S+", text)]
        if len(words) <= most:
            return text
        return text[: words[most - 1][1]] if keeps_start else text[words[-most][0] :]

    cut = by_characters if settings.has("characters") else by_words
    return lambda row: changed_row(row, cut, field)


KIND = StepKind(
    name="transform",
    description="Changes what people wrote in a record, or the texts of `field`, by `operation`, and tells how many rows are changed in which fields.",
    keys={
        "operation": "`lowercase`, `uppercase`, `strip`, `collapse_spaces`, `nfc`, `nfkc`; `replace`, `truncate`, `template`, `rename`",
        "field": "the field that is changed, which may be any, or that a template sets. If omitted, what people wrote: "
        f"{', '.join(f'`{name}`' for name in WRITTEN)}, of messages and turns what is said in them, but not by tools. Never without "
        "being named: labels, types, roles, names, tools and their calls, metadata, schemas, ids, and fields of your own",
        "pattern": "of `replace`: a regular expression; no text may take longer than a second, all together half an hour",
        "replacement": "of `replace`: what stands there instead, with `\\1` for a group; nothing if omitted",
        "characters": "of `truncate`: how many are left",
        "words": "of `truncate`: how many are left",
        "keep": "of `truncate`: `start` (default) or `end`",
        "template": "of `template`: a text with fields in braces: `{question}\\n{metadata.title}`, `{messages.0.content}`; what comes of it has 64 Mi characters at most",
        "fields": "of `rename`: as of the step of that name",
    },
    make=_make,
    is_by_row=True,
)
