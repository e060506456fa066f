"""How a trained model is to be asked: the form that its data had, in words, for programs, and as Python."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from afinador.data.extraction import Extraction
from afinador.data.tokens.templates import stop_ids, template_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example

FormName = Literal["chat_template", "question", "conversation", "text"]

_PROMPTS: dict[FormName, str | None] = {
    "chat_template": None,
    "question": "Human: {prompt}\nAssistant:",
    "conversation": "User: {prompt}\nAssistant:",
    "text": "{prompt}",
}
_SYSTEM_LINE = "System: {system}\n"


@dataclass(frozen=True)
class PromptForm:
    """How the examples of a data set were written before the model saw them.

    Attributes:
        name: ``chat_template`` is the tokenizer's own; ``question`` and ``conversation`` are lines of text;
            ``text`` is what stands there, to be gone on with.
        prompt: With ``{prompt}`` and perhaps ``{system}`` to be filled in; None where the chat template writes it.
        has_system: Whether conversations of the data begin with a system message.
        stop_tokens: Any of them ends an answer.
        stop_token_ids: Theirs.
        extraction: How the metadata of documents were asked for, where they were.
    """

    name: FormName
    prompt: str | None
    has_system: bool
    stop_tokens: list[str]
    stop_token_ids: list[int]
    extraction: Extraction | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, for ``afinador.json``."""
        return {
            "name": self.name,
            "prompt": self.prompt,
            "stop_tokens": self.stop_tokens,
            "stop_token_ids": self.stop_token_ids,
            **({"extraction": self.extraction.to_json()} if self.extraction else {}),
        }

    def sentences(self) -> str:
        """Say it to people, in Markdown."""
        asked = f" {self.extraction.sentences()}" if self.extraction else ""
        return self._sentences_on_form() + asked

    def _sentences_on_form(self) -> str:
        stops = " or ".join(f"`{token}`" for token in self.stop_tokens)
        if self.name == "chat_template":
            return f"Prompts were written with the tokenizer's own chat template. An answer ends with {stops}."
        if self.name == "text":
            return f"The model learnt running text: give it a beginning, and it goes on. A text ends with {stops}."
        turns = " After that the next `User:` line follows." if self.name == "conversation" else ""
        return (
            "The tokenizer has no chat template; prompts were written as\n\n"
            f"```\n{self.prompt}\n```\n\n"
            f"and the answer follows after one space. An answer ends with {stops}.{turns}"
        )

    def code(self) -> str:
        """Return Python that asks ``model`` and ``tokenizer`` and prints the answer."""
        return "\n".join([*self._code_of_inputs(), *_GENERATION.format(stops=self.stop_token_ids).splitlines()])

    def _code_of_inputs(self) -> list[str]:
        system = "You are a helpful assistant."
        question = "What can you do for me?"
        if self.prompt is None:
            messages = [{"role": "system", "content": system}] if self.has_system else []
            messages.append({"role": "user", "content": question})
            return [
                "messages = [",
                *(f"    {_quoted(message)}," for message in messages),
                "]",
                "inputs = tokenizer.apply_chat_template(",
                '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
                ")",
            ]
        prompt = self.prompt.format(system=system, prompt="Once upon a time" if self.name == "text" else question)
        return [f"prompt = {_quoted(prompt)}", 'inputs = tokenizer(prompt, return_tensors="pt")']


@dataclass(frozen=True)
class Summary:
    """What there is to know of the examples of a data set besides their tokens.

    Attributes:
        examples: How many there are.
        kind: What the first one is, and all others are: ``text``, ``messages``, ``prompt`` or ``document``.
        has_system: Whether any conversation begins with a system message.
    """

    examples: int
    kind: Literal["text", "messages", "prompt", "document"]
    has_system: bool


class Following:
    """Examples as they pass by, and what there is to know of them afterwards."""

    def __init__(self, examples: Iterable[Example]) -> None:
        self._examples = examples
        self._first: Example | None = None
        self._count = 0
        self._has_system = False

    def __iter__(self) -> Iterator[Example]:
        for example in self._examples:
            self._first = self._first or example
            self._count += 1
            self._has_system |= bool(example.messages and example.messages[0]["role"] == "system")
            yield example

    def summary(self) -> Summary:
        """Return what was seen; at least one example was."""
        first = self._first
        assert first is not None
        if first.document is not None:
            return Summary(self._count, "document", self._has_system)
        kind: Literal["text", "messages", "prompt"] = "prompt"
        if first.text is not None:
            kind = "text"
        elif first.messages is not None:
            kind = "messages"
        return Summary(self._count, kind, self._has_system)


def asked_by(examples: Iterable[Example], extraction: Extraction) -> Iterator[Example]:
    """Yield examples with their documents asked for as a job says; all others stay.

    Raises:
        DataError: The job has prompts, and none for the type of a document.
    """
    for example in examples:
        if example.document is not None:
            prompt, completion = extraction.request(example.document)
            unasked = extraction.unasked(example.document)
            example = replace(example, prompt=prompt, completion=completion, unasked=unasked)
        yield example


def prompt_form(data: Summary, tokenizer: PreTrainedTokenizerBase, extraction: Extraction | None = None) -> PromptForm:
    """Return the form in which a data set was written for a tokenizer; its examples all have one shape.

    Args:
        data: What is known of it.
        tokenizer: Of the base model.
        extraction: How documents among them were asked for.

    Raises:
        ModelError: The tokenizer has no end-of-sequence token.
    """
    name: FormName = "question"
    if data.kind == "text":
        name = "text"
    elif template_name(tokenizer) == "chat_template":
        name = "chat_template"
    elif data.kind == "messages":
        name = "conversation"
    prompt = _PROMPTS[name]
    if name == "conversation" and data.has_system:
        prompt = f"{_SYSTEM_LINE}{prompt}"
    ids = [int(tokenizer.eos_token_id)] if name == "text" else stop_ids(tokenizer)
    tokens = [str(tokenizer.convert_ids_to_tokens(id)) for id in ids]
    return PromptForm(name, prompt, data.has_system, tokens, ids, extraction if data.kind == "document" else None)


def _quoted(value: Any) -> str:
    """Python's spelling of plain values, with the double quotes of JSON."""
    return json.dumps(value, ensure_ascii=False)


_GENERATION = """output = model.generate(
    **inputs, max_new_tokens=128, do_sample=False, eos_token_id={stops}, pad_token_id=tokenizer.eos_token_id
)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))"""
