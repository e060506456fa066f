"""``deduplicate``: keeps the first of records that are the same, or nearly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b

from afinador.data.checks.near_duplicates import FEWEST_WORDS, signature_of
from afinador.data.preparation.likeness import LOWEST, MOST_COMPARED, Likeness
from afinador.data.preparation.rows import Means, Row, StepKind, Tally, Work
from afinador.data.preparation.settings import Settings
from afinador.data.preparation.texts import texts_of, value_of
from afinador.data.records import Record
from afinador.errors import InvalidRequestError


def digest_of(record: Record, fields: Sequence[str] = ()) -> bytes:
    """Return 16 bytes that equal records, or records with equal ``fields``, share; the order of fields does not count.

    Raises:
        DataError: The record has no such field.
    """
    value = [value_of(record, name) for name in fields] if fields else record.fields
    content = json.dumps(value, sort_keys=True, default=str)
    return blake2b(content.encode("utf-8", errors="surrogatepass"), digest_size=16).digest()


def _make(settings: Settings, means: Means) -> Work:
    settings.allow(KIND.keys)
    fields = _fields(settings)
    near = settings.number_of("near", LOWEST, 1) if settings.has("near") else None

    def work(rows: Iterator[Row], tally: Tally) -> Iterator[Row]:
        seen: set[bytes] = set()
        tally.counts = {"exact": 0} if near is None else {"exact": 0, "near": 0}
        with ExitStack() as stack:
            like = stack.enter_context(Likeness(near, settings.place)) if near is not None else None
            for row in rows:
                digest = digest_of(row.record, fields)
                if digest in seen:
                    tally.counts["exact"] += 1
                elif like is not None and _is_like_another(row.record, fields, like):
                    tally.counts["near"] += 1
                else:
                    seen.add(digest)
                    yield row

    return work


def _fields(settings: Settings) -> list[str]:
    if settings.has("field") and settings.has("fields"):
        raise InvalidRequestError(
            f"{settings.place} takes 'field' or 'fields'; give one of them.", param=settings.param("fields")
        )
    if settings.has("fields"):
        return settings.list_of_texts("fields", "a list of names of fields")
    field = settings.optional_text("field", "the name of a field")
    return [field] if field else []


def _is_like_another(record: Record, fields: list[str], like: Likeness) -> bool:
    texts = [text for name in fields for text in texts_of(record, name)] if fields else texts_of(record)
    signature = signature_of(texts)
    return signature is not None and like.is_known(signature)


KIND = StepKind(
    name="deduplicate",
    description="Keeps the first of records that are the same, or nearly, and tells how many of each kind went.",
    keys={
        "field": "only this field is looked at; the whole record if omitted",
        "fields": "instead: only these fields, `[prompt, completion]`",
        "near": f"also drop what is like a record before it: the share of their runs of three words that both have, "
        f"{LOWEST:g} to 1, such as `0.85` (MinHash, so about); texts of fewer than {FEWEST_WORDS} words are only held to be the "
        f"same, and at most {MOST_COMPARED:,} different records are compared",
    },
    make=_make,
)
