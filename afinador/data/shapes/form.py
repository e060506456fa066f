"""What there is to know of one shape, and the checks that several of them make."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Literal

from afinador.data.blanks import is_blank
from afinador.data.quoting import described, named, shortened
from afinador.data.records import Problem, Record
from afinador.data.shapes.example import Example

Shape = Literal[
    "messages",
    "sharegpt",
    "prompt_completion",
    "preference",
    "openai_preference",
    "alpaca",
    "raft",
    "document_metadata",
    "text_label",
    "source_target",
    "text",
]

Fields = dict[str, Any]

Reading = Generator[Problem, None, Example | None]
"""Yields all faults of a record, one after the other; what it returns is the example where there was none."""

# A near miss is looked for among so many names, and in so much of each.
NAMES_COMPARED = 100
LONGEST_NAME = 100
_INDEX = re.compile(r"messages\[(\d+)\]")


def _message_at(fields: Fields, index: int) -> str:
    return f"messages[{index}]"


@dataclass(frozen=True)
class RecordShape:
    """One shape of a record. Iterating over it gives the names of the fields that a record must have.

    Attributes:
        name: What people declare.
        fields: What a record must have.
        optional: What else is read.
        description: One sentence: what it holds, and what is learnt.
        tasks: What it is trained for; empty: it is checked and stored only.
        read: Makes an example of a record that has all fields, or says all that is wrong with it.
        in_table: Whether a row of a CSV or another flat table can hold it.
        turn_keys: What is read of each object of the list that the first field is; of conversations only.
        asked: The texts that are given to the model, not learnt: fields, or the roles of a conversation.
        to_messages: Gives a record's meaning as the fields of ``messages``; None: there is no way, or it loses something. Raises
            ValueError for a record of which this is true, and says for what there is no place.
        from_messages: The opposite, of one turn or more.
        normal: Writes a record in the one way that ``from_messages`` writes it.
        is_pair: It holds two answers: ``to_messages`` gives ``prompt``, ``chosen`` and ``rejected``, lists of messages.
        name_of_tools: Where its records declare functions.
        message_at: Gives what a record calls the message of its example at an index.
        instead: Of what is stored only: how to make records of it that are learnt.
    """

    name: Shape
    fields: tuple[str, ...]
    description: str
    read: Callable[[Record], Reading]
    optional: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ("causal_lm",)
    in_table: bool = False
    turn_keys: frozenset[str] = frozenset()
    asked: tuple[str, ...] = ()
    to_messages: Callable[[Fields], Fields] | None = None
    from_messages: Callable[[Fields], Fields] | None = None
    normal: Callable[[Fields], Fields] = dict
    is_pair: bool = False
    name_of_tools: str = "tools"
    message_at: Callable[[Fields, int], str] = _message_at
    instead: str = ""

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def field_at(self, place: str, prompt_messages: int = 0) -> str:
        """Return what its records call a place of an ``Example``: ``prompt``, ``completion``, or one in ``messages``.

        Args:
            place: Of the example.
            prompt_messages: As the example has it.
        """
        if place == "prompt":
            return self.asked[0]
        if place == "completion":
            return [name for name in self.fields if name not in self.asked][0 if self.is_pair else -1]
        if not place.startswith("messages") or self.name == "messages":
            return place
        if not prompt_messages:
            return self.fields[0]  # whose turns are counted in another way
        index = _INDEX.match(place)
        return self.field_at("completion" if index and int(index[1]) >= prompt_messages else "prompt")

    @property
    def example_file(self) -> str:
        """Where an example of it lies, from the root of the repository."""
        return f"examples/data/shapes/{self.name}.jsonl"

    @property
    def named_fields(self) -> str:
        """Its fields as a message names them."""
        return " and ".join(repr(name) for name in self.fields)


def near_miss_of(found: Iterable[str], known: Iterable[str]) -> str:
    """Say which name that was found is nearly one that is known: " Did you mean 'prompt' by 'promt'?", or nothing."""
    known = list(known)
    for name in islice(found, NAMES_COMPARED):
        near = get_close_matches(name[:LONGEST_NAME].strip().lower(), known, n=1, cutoff=0.75)
        if near and near[0] != name:
            return f" Did you mean {near[0]!r} by {shortened(name)}?"
    return ""


def unusable_texts(record: Record, *names: str, may_be_empty: bool = False) -> Iterator[Problem]:
    """Yield what is wrong with each field that must hold text and does not."""
    for name in names:
        value = record.fields.get(name)
        if value is None:
            yield record.problem("null_field", f"{name!r} is null. Write a value, or remove the record.", name)
        elif not isinstance(value, str):
            said = f"{name!r} is {described(value)}, but must be text. Write it as text, or remove the record."
            yield record.problem("wrong_type", said, name)
        elif not may_be_empty and is_blank(value):
            yield record.problem("empty_field", f"{name!r} is empty. Write a value, or remove the record.", name)


def content_of(fields: Mapping[str, Any], role: str) -> str:
    """Return the text of the only message that a role has in a conversation of one question and one answer.

    Raises:
        ValueError: There are more messages, or other ones; says which, as what the shape has no place for.
    """
    messages = fields["messages"]
    if [message.get("role") for message in messages] != ["user", "assistant"]:
        roles = ", ".join(named(message.get("role")) for message in messages[:6])
        more = ", …" if len(messages) > 6 else ""
        raise ValueError(f"a conversation of the roles {roles}{more}: it holds one message of the user and one answer")
    return next(str(message["content"]) for message in messages if message["role"] == role)


def one_turn(question: str, answer: str) -> Fields:
    """Return a question and its answer as the fields of ``messages``."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
