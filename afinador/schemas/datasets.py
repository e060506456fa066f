"""How a data set is to be read, where its name and content do not say it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from afinador.errors import InvalidRequestError, UnknownFieldError, nearest
from afinador.schemas.dataset_formats import NONE, Encoding, Format
from afinador.wording import complaint, unique_keys

MOST_FIELDS = 50
LONGEST_TEMPLATE = 10_000
MOST_NESTED = 200
DEEPEST_NESTED = 8

_LOADER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Template = Annotated[str, Field(min_length=1, max_length=LONGEST_TEMPLATE)]
_Nested = list[Any] | dict[str, Any]
TextUnit = Literal["documents", "lines"]


class DatasetReading(BaseModel):
    """How a data set is to be read; what is left out is found from its name and content.

    Attributes:
        format: Instead of the one that name and content say.
        encoding: Of a text format; UTF-8, and UTF-16 with its byte order mark, are found.
        text_unit: What a record of a TEXT file is, also of those in a folder or an archive: ``documents``, parted by blank
            lines, or ``lines``.
        delimiter: Of a CSV, also of those in a folder or an archive: one character.
        quote_character: Of a CSV, also of those in a folder or an archive: what stands around values that hold the delimiter
            or a line break, or ``none`` where quotes are characters like all others.
        escape_character: Of a CSV, also of those in a folder or an archive: what stands, inside of quoted values, before a
            quote that belongs to them, and before itself; ``none`` where quotes are doubled.
        columns: Names of the columns of a CSV that has no header line, also of those in a folder or an archive.
        shape: What the records are, see docs/formats.md.
        mapping: By field of the shape the column that it is taken from (``"label": "category"``; ``"a.b"`` and
            ``"a.0"`` lead into objects and arrays), or a template (``"prompt": "Question: {question}"``). What is not
            named is left out. A list or an object is taken as it is, with each text in it as a template:
            ``"messages": [{"role": "user", "content": "{question}"}, …]``.
        config: Of a repository of data files, one that its README.md declares.
        split: Of a folder, an archive or a data set of the Hugging Face Hub; the one called train by default. ``all`` is all of
            them, in the order of their names, unless one is called so.
        loader: ``module:function`` of a module that the operator has allowed; the function is given the path, and
            yields dictionaries.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["csv", "json", "jsonl", "text", "parquet", "arrow", "folder"] | None = None
    encoding: Encoding | None = None
    text_unit: TextUnit | None = None
    delimiter: str | None = None
    quote_character: str | None = None
    escape_character: str | None = None
    columns: Annotated[list[_Name], Field(min_length=1, max_length=1000)] | None = None
    shape: _Name | None = None
    mapping: Annotated[dict[_Name, _Template | _Nested], Field(min_length=1, max_length=MOST_FIELDS)] | None = None
    config: _Name | None = None
    split: _Name | None = None
    loader: str | None = None

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        value = "\t" if value in ("\\t", "tab") else value
        if value is not None and (len(value) != 1 or value in "\r\n\"' "):
            raise ValueError("it must be one character, such as ; or tab, and no quote, space or line break")
        return value

    @field_validator("quote_character", "escape_character")
    @classmethod
    def _one_character_or_none(cls, value: str | None) -> str | None:
        if value not in (None, NONE) and (len(value) != 1 or value in "\r\n\0 "):
            raise ValueError(f"it must be one character, no space or line break, or {NONE}")
        return value

    @field_validator("columns")
    @classmethod
    def _no_name_twice(cls, value: list[str] | None) -> list[str] | None:
        twice = next((name for name in value or () if (value or []).count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"each name may stand there once, and {twice!r} stands there twice")
        return value

    @field_validator("mapping")
    @classmethod
    def _nested_within_limits(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        left = [(each, 0) for each in (value or {}).values()]
        for count, (each, depth) in enumerate(left):
            if count > MOST_NESTED or depth > DEEPEST_NESTED:
                raise ValueError(f"it may hold {MOST_NESTED} values, at most {DEEPEST_NESTED} deep; map fewer")
            if isinstance(each, str) and len(each) > LONGEST_TEMPLATE:
                raise ValueError(f"a template may have {LONGEST_TEMPLATE} characters")
            inner = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
            left.extend((one, depth + 1) for one in inner)
        return value

    @field_validator("loader")
    @classmethod
    def _module_and_function(cls, value: str | None) -> str | None:
        if value is not None and not _LOADER.fullmatch(value):
            raise ValueError("it must be module:function, such as acme.readers:read_tickets")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> DatasetReading:
        misfit = None if self.format is None else self.misfit(self.format)
        if misfit is not None:
            raise ValueError(f"{misfit}, and format is {self.format}; leave one of them out")
        signs = [
            each for each in (self.delimiter, self.quote_character, self.escape_character) if each not in (None, NONE)
        ]
        if len(set(signs)) < len(signs):
            raise ValueError("delimiter, quote_character and escape_character must be different characters")
        if self.quote_character == NONE and self.escape_character not in (None, NONE):
            raise ValueError(
                "escape_character is for quoted values, and quote_character is none; leave one of them out"
            )
        if self.loader is not None and (given := [name for name in _OF_OUR_READERS if getattr(self, name) is not None]):
            raise ValueError(f"{given[0]} is for the readers of Afinador, and loader names another; leave one out")
        return self

    def misfit(self, format: Format) -> str | None:
        """Return what is declared and says nothing of a format, as ``delimiter is for CSV``; None where all has a meaning."""
        for name, what, formats in _OF_SOME_FORMATS:
            if getattr(self, name) is not None and format not in formats:
                return f"{name} is for {what}"
        return None

    def of_member(self) -> DatasetReading:
        """Return what is declared of each file of a folder or an archive."""
        return self.model_copy(update=dict.fromkeys(_OF_THE_WHOLE))

    def to_json(self) -> dict[str, Any]:
        """Return what is declared, as plain JSON values; empty where nothing is."""
        return self.model_dump(mode="json", exclude_none=True)


_OF_SEVERAL_FILES = "folders, archives and data sets of the Hugging Face Hub"
_OF_SOME_FORMATS: tuple[tuple[str, str, tuple[Format, ...]], ...] = (
    ("delimiter", "CSV", ("csv", "folder")),
    ("quote_character", "CSV", ("csv", "folder")),
    ("escape_character", "CSV", ("csv", "folder")),
    ("columns", "CSV", ("csv", "folder")),
    ("text_unit", "TEXT", ("text", "folder")),
    ("config", _OF_SEVERAL_FILES, ("folder",)),
    ("split", _OF_SEVERAL_FILES, ("folder",)),
    ("encoding", "text formats", ("csv", "json", "jsonl", "text", "folder")),
)
PARTS = ("config", "split")
"""Fields that say which part of a data set is read."""
_OF_THE_WHOLE = ("format", "shape", "config", "split", "loader")
_OF_OUR_READERS = (
    "format", "encoding", "text_unit", "delimiter", "quote_character", "escape_character", "columns", "config", "split",
)  # fmt: skip


def parse_reading(given: Mapping[str, Any]) -> DatasetReading | None:
    """Return a declaration from what a person gave; None of nothing. ``mapping`` and ``columns`` may be JSON texts.

    Raises:
        UnknownFieldError: A field that does not exist; names the nearest.
        InvalidRequestError: A field has a wrong value, or two do not go together.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    for name in fields:
        if name not in DatasetReading.model_fields:
            raise UnknownFieldError(
                f"{str(name)!r} says nothing about how a data set is to be read; known are: "
                f"{', '.join(DatasetReading.model_fields)}.{nearest(str(name), DatasetReading.model_fields)}",
                param=str(name),
            )
    for name in ("mapping", "columns"):
        if isinstance(fields.get(name), str):
            fields[name] = _from_text(name, fields[name])
    if not fields:
        return None
    try:
        return DatasetReading.model_validate(fields)
    except ValidationError as error:
        fault = error.errors()[0]
        if fault["loc"]:
            field, said = complaint(error)
            raise InvalidRequestError(said, param=field.partition(".")[0]) from error
        raise InvalidRequestError(f"{fault['ctx']['error']}.") from error


def read_otherwise(
    reading: DatasetReading | None, declared: Mapping[str, Any] | None, *, param: str = "validation_reading"
) -> DatasetReading | None:
    """Return how a data set is read that is read as another one is, but for what is declared of it alone.

    What stands in ``reading`` and does not go together with what is declared gives way: with a format what says nothing
    of it, with a loader what is for our readers.

    Args:
        reading: Of the other one.
        declared: Fields of ``DatasetReading``; of a field that is None or empty nothing is declared, as if nothing were
            of the other one.
        param: What to blame.

    Raises:
        UnknownFieldError: As ``parse_reading`` does.
        InvalidRequestError: As ``parse_reading`` does, or ``declared`` is no object.
    """
    if declared is None:
        return reading
    if not isinstance(declared, Mapping):
        raise InvalidRequestError(
            f"{param} says how a data set is read, by fields such as 'mapping: {{text: question, label: category}}'; it is no "
            "object here.",
            param=param,
        )
    own = {name: None if value == "" else value for name, value in declared.items()}
    try:
        alone = parse_reading(own)
        kept = (
            {} if reading is None else {name: reading.to_json()[name] for name in reading.to_json() if name not in own}
        )
        if alone is not None:
            kept = {name: value for name, value in kept.items() if _go_together(name, value, alone)}
        return parse_reading({**kept, **own})
    except InvalidRequestError as error:
        error.param = f"{param}.{error.param}" if error.param else param
        raise


def require_part(declared: Mapping[str, Any] | None, *, param: str = "validation_reading") -> None:
    """Do nothing if a declaration names the part of a data set that is held out, where no other data set is.

    Raises:
        UnknownFieldError: As ``read_otherwise`` does.
        InvalidRequestError: It names none, so that all of what is trained on would be held out; or as ``read_otherwise``.
    """
    read_otherwise(None, declared, param=param)
    if declared is not None and not any(declared.get(name) for name in PARTS):
        raise InvalidRequestError(
            f"{param} says how the validation data set is read, and there is none. Name one, or declare the split of the "
            "training data set that is held out.",
            param=param,
        )


def _go_together(name: str, value: Any, declared: DatasetReading) -> bool:
    """Tell whether one field of a declaration makes sense beside another declaration."""
    try:
        DatasetReading.model_validate({**declared.to_json(), name: value})
    except ValidationError:
        return False
    return True


def _from_text(name: str, text: str) -> Any:
    if name == "columns" and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",")]
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{name}: {error.message}", param=name) from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(
            f'{name} is no JSON: {str(error)[:100]}. Write it like {{"prompt": "question", "completion": "answer"}}.',
            param=name,
        ) from error
