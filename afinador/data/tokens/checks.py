"""What a tokenizer makes of a data set: lengths, what would be cut, what would never be learnt.

Everything is computed by the very code that training uses, record by record, so that a file of any size needs no
memory to speak of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from afinador.data.lengths import Lengths
from afinador.data.quoting import shortened
from afinador.data.records import Problem
from afinador.data.shapes import SHAPES
from afinador.data.tokens.classified import TEXT_AS_IT_IS, text_to_classify
from afinador.data.tokens.cut_records import doubt_about_text, doubts_about_cut, is_prompt_lost, places_of
from afinador.data.tokens.cutting import cut_of, lost_answers
from afinador.data.tokens.encoding import text_ids
from afinador.data.tokens.left_out import left_out
from afinador.data.tokens.special_tokens import pattern_of, special_tokens
from afinador.data.tokens.templates import EncodedSegment, encode, template_name
from afinador.data.tokens.tokenisation import (
    CutCounts,
    TokenisedExample,
    count_cuts,
    count_targets,
    fitted,
)
from afinador.data.validation import Report
from afinador.data.wanted_fields import doubt_of
from afinador.errors import DataError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from afinador.data.shapes import Example, Shape

Task = Literal["causal_lm", "sequence_classification"]
MOST_UNKNOWN_SHARE = 0.01
"""A larger share of unknown tokens is worth a warning."""
_SHORTEST_SPECIAL = 2
_TOKENS_TOLD = 20
_CUT = ("records", "prompts", "prompt_tokens", "ends", "end_tokens", "answers", "answer_tokens")


@dataclass(frozen=True)
class Limits:
    """How records become tokens.

    Attributes:
        max_length: Most tokens of one example.
        context_length: How many positions the base model has, where its configuration says it.
    """

    task: Task
    max_length: int
    context_length: int | None = None

    @property
    def usable_length(self) -> int:
        """The smaller of the two, which is what training cuts to."""
        return self.max_length if self.context_length is None else min(self.max_length, self.context_length)


class TokenCheck:
    """Follows the usable records of a file, one after the other.

    Args:
        tokenizer: Of the base model.
        limits: Of the training that is meant.
        shape: Of the records, whose fields are named; None to name those of the examples.

    Attributes:
        is_ended: The tokenizer or its template cannot be used, so that there is nothing more to be found.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limits: Limits, shape: Shape | None = None) -> None:
        self._tokenizer, self._limits, self._shape = tokenizer, limits, shape
        self.is_ended = False
        self._found = Report()
        self._whole, self._learnt = Lengths(), Lengths()
        self._kept_tokens = self._pieces = self._unknown = 0
        self._cut: Counter[str] = Counter()
        self._special: Counter[str] = Counter()
        added = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._special_ids = added | set(tokenizer.all_special_ids)
        self._unknown_id = _unknown_id(tokenizer)
        texts = tuple(text for text in special_tokens(tokenizer).texts if len(text) >= _SHORTEST_SPECIAL)
        self._special_pattern = pattern_of(texts)
        self._read_as_token = {text for text in texts if self._is_read_as_token(text)}

    def add(self, example: Example) -> None:
        """Look at one record; whatever is wrong with it is kept, and nothing is raised."""
        look = self._classify if self._limits.task == "sequence_classification" else self._generate
        try:
            look(example)
        except DataError as error:
            self._error("not_tokenised", error.message, example)
        except ModelError as error:
            self._found.add_error(Problem("unusable_tokenizer", error.message))
            self.is_ended = True
        except Exception as error:
            # A tokenizer and its template are programs of the model's author: they may raise anything.
            said = f"Record at line {example.line} cannot be tokenised: {shortened(str(error), 200)}."
            self._error("not_tokenised", f"{said} Remove what the tokenizer cannot read.", example)

    def result(self) -> dict[str, Any]:
        """Return figures and faults as plain JSON values."""
        records = self._whole.count
        unknown = None
        if self._unknown_id is not None:
            unknown = {"tokens": self._unknown, "share": self._unknown / max(self._whole.sum, 1)}
        self._doubt_all(unknown)
        is_classified = self._limits.task == "sequence_classification"
        found = self._found
        return {
            "tokens": {
                **asdict(self._limits),
                "usable_length": self._limits.usable_length,
                "template": TEXT_AS_IT_IS if is_classified else template_name(self._tokenizer),
                "records": records,
                "tokens": self._whole.sum,
                "kept_tokens": self._kept_tokens,
                "trained_tokens": None if is_classified else self._learnt.sum,
                "pieces": self._pieces,
                "lengths": self._whole.to_json(),
                "trained_lengths": None if is_classified else self._learnt.to_json(),
                "truncated": {name: self._cut[name] for name in _CUT},
                "unknown": unknown,
                "special_tokens": dict(self._special.most_common(_TOKENS_TOLD)),
            },
            "errors": [problem.to_json() for problem in found.errors],
            "warnings": [problem.to_json() for problem in found.warnings],
            "counts": found.counts,
        }

    def _generate(self, example: Example) -> None:
        if example.unasked:
            said = f"Record at line {example.line}: {doubt_of(example.unasked, 'the extraction_schema of the job')}"
            self._warn("unasked_fields", said, example, "completion")
        segments = encode(example, self._tokenizer)
        whole = [token for segment in segments for token in segment.ids]
        self._measure(example, whole)
        self._look_at_beginning(example, whole)
        if self._tokenizer.chat_template and example.text is None:
            self._look_at_template(example, segments)
        pieces = fitted(example, segments, self._tokenizer, self._limits.usable_length)
        self._learnt.add(sum(count_targets(piece) for piece in pieces))
        if example.text is None:
            self._look_at_cut(example, segments, pieces)
        else:
            self._keep(pieces, [])
        if not pieces[-1].cut_after:
            self._look_at_ends(example, segments)

    def _classify(self, example: Example) -> None:
        length = self._limits.usable_length
        whole, kept = text_to_classify(example, self._tokenizer, length)
        self._measure(example, whole)
        cuts = self._keep([TokenisedExample(kept, [0], cut_after=len(whole) - len(kept))], [])
        if cuts.records:
            doubt = doubt_about_text(example, cuts, length)
            self._warn(doubt.code, doubt.message, example, doubt.place)

    def _measure(self, example: Example, whole: list[int]) -> None:
        self._whole.add(len(whole))
        if self._unknown_id is not None:
            self._unknown += whole.count(self._unknown_id)
        found = dict.fromkeys(
            (self._field(place, example), match[0])
            for place, text in _texts_of(example)
            for match in self._special_pattern.finditer(text)
        )
        self._special.update({token for _, token in found})
        for field, token in found:
            what = "is read as that token" if token in self._read_as_token else "stays text, and is not that token"
            said = f"Record at line {example.line} holds the special token {token!r} in {field}; it {what}."
            remedy = "Remove it, if it is left over from another format."
            self._found.add_warning(Problem("special_token_in_text", f"{said} {remedy}", example.line, field))

    def _keep(self, pieces: list[TokenisedExample], lost: list[int]) -> CutCounts:
        self._pieces += len(pieces)
        self._kept_tokens += sum(len(piece.input_ids) for piece in pieces)
        cuts = count_cuts((piece.cut_before, piece.cut_after) for piece in pieces)
        self._cut.update({name: number for name, number in asdict(cuts).items() if number})
        self._cut.update({"answers": len(lost), "answer_tokens": sum(lost)} if lost else {})
        return cuts

    def _look_at_cut(self, example: Example, segments: list[EncodedSegment], pieces: list[TokenisedExample]) -> None:
        length = self._limits.usable_length
        cut = cut_of(example, segments, self._tokenizer, length)
        lost = lost_answers(segments, cut)
        cuts = self._keep(pieces, lost)
        if cuts.records:
            is_lost = is_prompt_lost(example, segments, cut, self._tokenizer)
            for doubt in doubts_about_cut(
                example, cuts, lost, length, is_of_document=cut.of_document, is_prompt_lost=is_lost
            ):
                self._warn(doubt.code, doubt.message, example, doubt.place)

    def _look_at_template(self, example: Example, segments: list[EncodedSegment]) -> None:
        for found in left_out(example, "".join(segment.text for segment in segments)):
            said = f"Record at line {example.line}: {found.message}"
            self._warn(found.code, said, example, found.place)

    def _look_at_beginning(self, example: Example, whole: list[int]) -> None:
        begin = self._tokenizer.bos_token_id
        if begin is not None and whole[:2] == [begin, begin]:
            said = f"Record at line {example.line} begins with {self._tokenizer.bos_token!r} twice."
            remedy = "Correct the chat template of the base model, which writes it beside the tokenizer."
            self._warn("double_bos", f"{said} {remedy}", example, places_of(example)[0])

    def _look_at_ends(self, example: Example, segments: list[EncodedSegment]) -> None:
        """Find answers after which no end is learnt: the model would not stop there."""
        for is_trained, run in groupby(segments, key=lambda segment: segment.trained):
            ids = [token for segment in run for token in segment.ids]
            if is_trained and ids and ids[-1] not in self._special_ids:
                said = f"Record at line {example.line} has an answer after which no end of the answer is learnt."
                remedy = "The chat template of the base model does not close it, and the model may not stop there: correct the template."
                self._warn("end_not_trained", f"{said} {remedy}", example, places_of(example)[1])
                return

    def _doubt_all(self, unknown: dict[str, Any] | None) -> None:
        if unknown and unknown["share"] > MOST_UNKNOWN_SHARE:
            said = (
                f"{unknown['share']:.1%} of the tokens are unknown to the tokenizer ({unknown['tokens']} of "
                f"{self._whole.sum}), and all look alike to the model. Choose a base model for this script or language."
            )
            self._found.add_warning(Problem("unknown_tokens", said))

    def _is_read_as_token(self, text: str) -> bool:
        if self._limits.task == "sequence_classification":
            ids = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        else:
            ids = text_ids(self._tokenizer, text, literal=True, continues=False)
        return bool(self._special_ids - {self._unknown_id} & set(ids))

    def _error(self, code: str, message: str, example: Example) -> None:
        self._found.add_error(Problem(code, message, example.line, self._field(places_of(example)[0], example)))

    def _warn(self, code: str, message: str, example: Example, place: str) -> None:
        self._found.add_warning(Problem(code, message, example.line, self._field(place, example)))

    def _field(self, place: str, example: Example) -> str:
        """Return how a record of the file calls a place of its example."""
        return place if self._shape is None else SHAPES[self._shape].field_at(place, example.prompt_messages)


def check_tokens(
    examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase, limits: Limits, shape: Shape | None = None
) -> dict[str, Any]:
    """Return what a tokenizer makes of examples: ``tokens`` with all figures, ``errors``, ``warnings``, ``counts``.

    Of a tokenizer or template that cannot be used at all nothing but this is said, once.
    """
    check = TokenCheck(tokenizer, limits, shape)
    for example in examples:
        check.add(example)
        if check.is_ended:
            break
    return check.result()


def _unknown_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the id of the unknown token, if it is one of its own: GPT-2 names EOS, which no text ever becomes."""
    unknown = tokenizer.unk_token_id
    return None if unknown in (None, tokenizer.eos_token_id, tokenizer.bos_token_id) else int(unknown)


def _texts_of(example: Example) -> Iterable[tuple[str, str]]:
    for place in ("prompt", "completion", "text"):
        if text := getattr(example, place):
            yield place, text
    for index, message in enumerate(example.messages or ()):
        if isinstance(message.get("content"), str):
            yield f"messages[{index}].content", message["content"]
