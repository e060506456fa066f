r"""The conditions of ``filter``: parsed by the grammar below, never executed as code.

::

    condition   = both { "or" both }
    both        = each { "and" each }
    each        = "not" each | "(" condition ")" | comparison
    comparison  = operand sign operand | operand "contains" operand | operand "matches" TEXT
                | operand ["not"] "in" "(" operand { "," operand } ")" | "has" "(" FIELD ")"
    sign        = "<" | "<=" | ">" | ">=" | "==" | "!="
    operand     = NUMBER | TEXT | true | false | null | FIELD | measure [ "(" [ FIELD ] ")" ]
    measure     = "length" | "words" | "tokens" | "language"

``length`` are characters, blanks among them, and ``words`` those parted by white space in which a character is seen, of
all texts of a record together or of one field: ``length(answer) > 0`` keeps an answer of blanks alone, ``words(answer) > 0`` does not;
``tokens`` are those of a base model that is named, ``language`` is ``es``, ``en`` and so on. A FIELD is a name, with
dots into objects (``metadata.year``); \`in backquotes\` it may be any, also one that is called like a measure.
``contains`` looks for a part of a text or for an item of a list, ``matches`` for a regular expression anywhere in it.
Texts that hold numbers, as all values of a CSV are texts, compare with numbers as numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from afinador.data.blanks import count_words
from afinador.data.preparation.languages import known_languages, language_of
from afinador.data.preparation.patterns import Pattern
from afinador.data.preparation.rows import Means
from afinador.data.preparation.texts import texts_in, texts_of, value_of
from afinador.data.preparation.words import EXAMPLES, Word, words_of
from afinador.data.quoting import described, shortened
from afinador.data.records import Record
from afinador.data.shapes import label_text
from afinador.errors import DataError, InvalidRequestError, nearest

Condition = Callable[[Record], bool]
Operand = Callable[[Record], Any]

SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
MEASURES = ("length", "words", "tokens", "language")
DEEPEST = 30
"""Parentheses and ``not`` inside of each other."""


def parse_condition(
    text: str, means: Means, *, field: str | None = None, place: str = "The filter", param: str = "condition"
) -> Condition:
    """Read a condition.

    Args:
        text: As it was written.
        means: What counts tokens, and the seconds of regular expressions.
        field: What measures mean that name no field; None: the whole record.
        place: Where it stands, as the beginning of a sentence.
        param: The field of the request.

    Raises:
        InvalidRequestError: It is none; says where, what was expected, and what one looks like.
    """
    return _Parser(text, means, field, place, param).whole()


class _Parser:
    def __init__(self, text: str, means: Means, field: str | None, place: str, param: str) -> None:
        self._text, self._means, self._field, self._place, self._param = text, means, field, place, param
        self._words: Sequence[Word] = words_of(text, param=param)
        self._at = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._either()
        if self._next.kind != "end":
            raise self._unexpected("'and', 'or' or the end")
        return condition

    @property
    def _next(self) -> Word:
        return self._words[self._at]

    def _take(self, *texts: str) -> str | None:
        """Go past the next word if it is one of these."""
        if self._next.kind in ("name", "sign") and self._next.text in texts:
            self._at += 1
            return texts[texts.index(self._words[self._at - 1].text)]
        return None

    def _require(self, text: str) -> None:
        if self._take(text) is None:
            raise self._unexpected(repr(text))

    def _unexpected(self, wanted: str) -> InvalidRequestError:
        found = self._next.text if self._next.kind == "end" else shortened(self._next.text)
        words = {*MEASURES, "contains", "matches", "and", "or", "not", "in", "has"} - {self._next.text}
        near = nearest(self._next.text, sorted(words))
        return InvalidRequestError(
            f"{self._place}: the condition {shortened(self._text, 100)} is not understood at character "
            f"{self._next.position}: {found} stands where {wanted} is expected.{near} Examples: {EXAMPLES}.",
            param=self._param,
        )

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda record: any(part(record) for part in parts)

    def _both(self) -> Condition:
        parts = [self._each()]
        while self._take("and"):
            parts.append(self._each())
        return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)

    def _each(self) -> Condition:
        self._depth += 1
        if self._depth > DEEPEST:
            raise InvalidRequestError(
                f"{self._place}: the condition has more than {DEEPEST} parentheses inside of each other. "
                "Write several filters.",
                param=self._param,
            )
        try:
            if self._take("not"):
                negated = self._each()
                return lambda record: not negated(record)
            if self._take("("):
                inner = self._either()
                self._require(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        if self._next.text == "has" and self._words[self._at + 1].text == "(":
            self._at += 1
            name = self._field_in_parentheses(must=True)
            return lambda record: _has(record, name or "")
        start = self._at
        left = self._operand()
        sign = self._take(*SIGNS)
        if sign:
            self._check_language(start, self._at)
            right = self._operand()
            return lambda record: _compared(sign, left(record), right(record), record)
        if self._take("contains"):
            wanted = self._operand()
            return lambda record: _contains(left(record), wanted(record))
        if self._take("matches"):
            pattern = self._pattern()
            return lambda record: any(pattern.found_in(text, record) for text in texts_in(left(record)))
        negated = self._take("not") is not None
        if self._take("in"):
            listed = self._list()
            return lambda record: (
                any(_compared("==", left(record), each(record), record) for each in listed) is not negated
            )
        raise self._unexpected(f"one of {' '.join(SIGNS)}, 'contains', 'matches' or 'in'")

    def _list(self) -> list[Operand]:
        self._require("(")
        listed = [self._operand()]
        while self._take(","):
            listed.append(self._operand())
        self._require(")")
        return listed

    def _pattern(self) -> Pattern:
        word = self._next
        if word.kind != "value" or not isinstance(word.value, str):
            raise self._unexpected("a regular expression in quotes")
        self._at += 1
        return Pattern(word.value, self._place, self._param, self._means.spent)

    def _check_language(self, start: int, end: int) -> None:
        """Refuse a language that nobody finds, such as ``spanish``."""
        value = self._next.value
        if self._words[start].text == "language" and isinstance(value, str) and value not in known_languages():
            raise InvalidRequestError(
                f"{self._place}: {value!r} is no language that is told apart; give its two letters, such as 'es' or "
                f"'en'.{nearest(value, known_languages())}",
                param=self._param,
            )

    def _operand(self) -> Operand:
        word = self._next
        if word.kind == "value":
            self._at += 1
            return lambda record: word.value
        if word.kind == "field" or (word.kind == "name" and word.text not in (*MEASURES, *_RESERVED)):
            self._at += 1
            return lambda record: value_of(record, word.text, MEASURES)
        if word.kind == "name" and word.text in MEASURES:
            self._at += 1
            name = self._field_in_parentheses() if self._next.text == "(" else self._field
            return self._measure(word.text, name)
        raise self._unexpected(f"a field, a number, a text in quotes or one of {', '.join(MEASURES)}")

    def _field_in_parentheses(self, *, must: bool = False) -> str | None:
        self._require("(")
        word = self._next
        if word.kind in ("field", "name"):
            self._at += 1
        elif must or word.text != ")":
            raise self._unexpected("the name of a field")
        self._require(")")
        return word.text if word.kind in ("field", "name") else self._field

    def _measure(self, measure: str, field: str | None) -> Operand:
        if measure == "length":
            return lambda record: sum(map(len, texts_of(record, field)))
        if measure == "words":
            return lambda record: sum(map(count_words, texts_of(record, field)))
        if measure == "language":
            return lambda record: language_of(texts_of(record, field))
        count = self._means.count_tokens
        if count is None:
            raise InvalidRequestError(
                f"{self._place}: the condition counts tokens, and no base model is named whose tokens they are. "
                "Name one as base_model (--base-model), or count words or length.",
                param=self._param,
            )
        return lambda record: count(texts_of(record, field))


_RESERVED = ("and", "or", "not", "in", "contains", "matches", "has")


def _has(record: Record, name: str) -> bool:
    try:
        return value_of(record, name) is not None
    except DataError:
        return False


def _compared(sign: str, left: Any, right: Any, record: Record) -> bool:
    if _is_number(left) or _is_number(right):
        left, right = (_number(value) for value in (left, right))
    elif (isinstance(left, bool) and isinstance(right, str)) or (isinstance(left, str) and isinstance(right, bool)):
        left, right = label_text(left), label_text(right)
    if sign in ("==", "!="):
        return SIGNS[sign](left, right)
    if not ((_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str))):
        raise DataError(
            f"{record.place}: {described(left)} {sign} {described(right)} cannot be said of other values than "
            "two numbers or two texts. Filter out the records that hold something else first, or correct them."
        )
    return SIGNS[sign](left, right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> Any:
    """Return the number that a text holds, anything else as it is."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _contains(held: Any, wanted: Any) -> bool:
    if isinstance(held, list) and wanted in held:
        return True
    return isinstance(wanted, str) and any(wanted in text for text in texts_in(held))
