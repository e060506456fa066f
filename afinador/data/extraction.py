"""How the metadata of a document are asked for, and what is answered.

By *prompt*: each type of document has its own, and the answer is the metadata as JSON. By *schema*, in the manner of
NuExtract: the prompt holds a template with all fields that are wanted, empty, and then the text; the answer is the
template filled in. Metadata are learnt as they were written: of fields that a template does not have, people are told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from afinador.data.quoting import shortened
from afinador.data.wanted_fields import unasked_fields
from afinador.errors import DataError, nearest
from afinador.schemas.prompts import PLACE

if TYPE_CHECKING:
    from afinador.config.hyperparameters import Hyperparameters

DEFAULT = "default"
"""Key of the prompt for documents without a type, or of a type that has no prompt of its own."""
PARAM = "hyperparameters.prompts"
TYPES_TOLD = 8
DEFAULT_PROMPT = "Extract the metadata of the following document as JSON."


@dataclass(frozen=True)
class Document:
    """A document whose metadata are to be extracted; the job's configuration says how it is asked for.

    Attributes:
        text: The document alone.
        metadata: What is learnt, as a JSON object.
        type: Which of the job's prompts is meant; None: the default one.
        schema: Which fields are wanted, as JSON; None: those of ``metadata``.
    """

    text: str
    metadata: dict[str, Any]
    type: str | None = None
    schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class Extraction:
    """What a job says of it.

    Attributes:
        mode: ``prompt`` or ``schema``.
        prompts: By type of document; ``default`` for all others.
        schema: In the mode ``schema``: the fields that are wanted of documents that name none themselves.
    """

    mode: Literal["prompt", "schema"] = "prompt"
    prompts: Mapping[str, str] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, for ``afinador.json``."""
        if self.mode == "schema":
            return {"mode": self.mode, "schema": self.schema}
        return {"mode": self.mode, "prompts": dict(self.prompts) or {DEFAULT: DEFAULT_PROMPT}}

    def sentences(self) -> str:
        """Say it to people, in Markdown."""
        if self.mode == "schema":
            wanted = f"\n\n```json\n{_json(self.schema)}\n```\n" if self.schema else " of their own."
            return f"Documents follow `### Text:` after a template of the fields that are wanted:{wanted}"
        prompts = self.prompts or {DEFAULT: DEFAULT_PROMPT}
        listed = "\n".join(f"- `{type}`: {json.dumps(text, ensure_ascii=False)}" for type, text in prompts.items())
        return f"Documents were asked for by their type; where `{PLACE}` is not said, they follow:\n\n{listed}"

    def request(self, document: Document) -> tuple[str, str]:
        """Return prompt and answer of a document.

        Raises:
            DataError: Prompts are given, but neither one for its type nor a default.
        """
        if self.mode == "schema":
            wanted = document.schema or self.schema or _emptied(document.metadata)
            return f"### Template:\n{_json(wanted)}\n### Text:\n{document.text}", _json(document.metadata)
        prompt = self._prompt_for(document)
        asked = prompt.replace(PLACE, document.text) if PLACE in prompt else f"{prompt}\n\n{document.text}"
        return asked, json.dumps(document.metadata, ensure_ascii=False)

    def unasked(self, document: Document) -> tuple[str, ...]:
        """Return the fields of a document's metadata that the job's schema does not have; those of its own are told by line."""
        if self.mode != "schema" or document.schema or not self.schema:
            return ()
        return tuple(unasked_fields(document.metadata, self.schema))

    def lacking(self, types: Mapping[str, int] | None) -> tuple[int, str]:
        """Return how many documents have no prompt, and a sentence on their types; 0 and nothing where all have one.

        Args:
            types: How many documents there are of each type, "" being those without one; None: that is not known.
        """
        if self.mode == "schema" or not self.prompts or self.prompts.get(DEFAULT):
            return 0, ""
        without = [type for type in types or () if not self.prompts.get(type or DEFAULT)]
        if not without or not types:
            return 0, ""
        named = [shortened(type) for type in without if type]
        more = f" and {len(named) - TYPES_TOLD} more" if len(named) > TYPES_TOLD else ""
        what = [f"the type{'s' if named[1:] else ''} {', '.join(named[:TYPES_TOLD])}{more}"] if named else []
        what += ["documents without a type"] if "" in without else []
        said = (
            f"prompts has none for {' and for '.join(what)}, and no 'default'; there are: {', '.join(self.prompts)}."
            f"{nearest(without[0] or DEFAULT, self.prompts)} Add {'them' if without[1:] else 'one'}."
        )
        return sum(types[type] for type in without), said

    def require_prompts(self, types: Mapping[str, int] | None, name: str) -> None:
        """Do nothing if there is a prompt for each type of document of a file, as far as they are known.

        Raises:
            DataError: There is none; says for which.
        """
        count, said = self.lacking(types)
        if count:
            raise DataError(f"{name}: {count} of its documents cannot be asked for: {said}", param=PARAM)

    def _prompt_for(self, document: Document) -> str:
        if not self.prompts:
            return DEFAULT_PROMPT
        found = self.prompts.get(document.type or DEFAULT) or self.prompts.get(DEFAULT)
        if found is None:
            raise DataError(self.lacking({document.type or "": 1})[1], param=PARAM)
        return found


def default_request(document: Document) -> tuple[str, str]:
    """Return prompt and answer as they are where a job says nothing."""
    return Extraction().request(document)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=4)


def _emptied(value: Any) -> Any:
    """Return the fields of metadata without their values: texts and numbers as "", lists with one empty item."""
    if isinstance(value, dict):
        return {name: _emptied(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_emptied(value[0])] if value and isinstance(value[0], dict) else []
    return ""


def extraction_of(wanted: Hyperparameters) -> Extraction:
    """Return how a job wants documents to be asked for."""
    return Extraction(wanted.extraction, wanted.prompts or {}, wanted.extraction_schema)
