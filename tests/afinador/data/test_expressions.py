"""What a filter's condition may say, what it means, and that nothing of it is ever executed."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.data.preparation.expressions import parse_condition
from afinador.data.preparation.rows import Means
from afinador.data.records import Record
from afinador.errors import DataError, InvalidRequestError

FIELDS = {
    "text": "El pedido llegó con dos días de retraso",
    "label": "3",
    "year": 2019,
    "metadata": {"author": {"name": "Ida"}, "tags": ["wax", "soap"]},
    "odd name": "x",
    "length": "a field",
    "flag": True,
    "nothing": None,
    "messages": [{"role": "user", "content": "hello there"}],
}


def holds(condition: str, fields: dict[str, Any] = FIELDS, **named: Any) -> bool:
    return parse_condition(condition, Means(count_tokens=lambda texts: sum(len(text) // 4 for text in texts)), **named)(
        Record(7, fields)
    )


@pytest.mark.parametrize(
    "condition",
    [
        "length(text) == 39",
        "length(`text`) == 39 and words(text) == 8",
        "length > 60 and length < 100",
        "tokens(text) == 9",
        "tokens() > 10",
        "language(text) == 'es'",
        "language(text) in ('en', 'es')",
        "year >= 2019 and year < 2020.5",
        "label == 3",
        "label >= 2.5",
        "label == '3'",
        "label in (1, 2, 3)",
        "label not in ('a', 'b')",
        "not label in (1, 2)",
        "text contains 'llegó'",
        "not text contains 'Llegó'",
        "metadata.tags contains 'soap'",
        'metadata.author.name == "Ida"',
        "metadata contains 'wax'",
        "messages contains 'hello'",
        "text matches '^El .* retraso$'",
        "text matches 'd[íi]as\\\\b'",
        "messages matches '(?i)HELLO'",
        "`odd name` == 'x'",
        "`length` == 'a field'",
        "flag == true and nothing == null and flag != null",
        "flag == 'true'",
        "has(year) and not has(month) and not has(nothing) and has(metadata.author.name)",
        "year == 1 or year == 2 and label == 9 or year == 2019",
        "(year == 1 or year == 2019) and label == 3",
        "not not year == 2019",
        "'b' > 'a'",
        "-1 < 1e3",
        "text != year",
        "'it\\'s' == \"it's\"",
    ],
)
def test_condition_holds(condition: str) -> None:
    assert holds(condition)
    assert not holds(f"not ({condition})")


def test_measures_without_a_field_are_of_the_one_that_is_named() -> None:
    assert holds("words == 8 and length() == 39", field="text")


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("length > ten ten", "character 14: 'ten' stands where 'and', 'or' or the end is expected"),
        ("__import__('os').system('true')", "not understood at \".system('true')\""),
        ("open('x') > 1", "character 5: '(' stands where one of <"),
        ("text", "the end stands where one of <"),
        (
            "length >",
            "the end stands where a field, a number, a text in quotes or one of length, words, tokens, language",
        ),
        ("(length > 1", "the end stands where ')' is expected"),
        ("length > 1)", "')' stands where 'and', 'or' or the end"),
        ("length = 1", "not understood at '= 1' (character 8)"),
        ("text contain 'a'", "Did you mean 'contains'"),
        ("text matches pattern", "'pattern' stands where a regular expression in quotes"),
        ("text matches '('", "is no regular expression"),
        ("label in 3", "stands where '(' is expected"),
        ("has(3)", "stands where the name of a field"),
        ("language == 'spanish'", "'spanish' is no language that is told apart; give its two letters"),
        ("length > 1 and and length < 3", "'and' stands where a field"),
        ("text == 'open", "not understood at"),
        ("(" * 40 + "length > 1" + ")" * 40, "more than 30 parentheses"),
        ("length > 1 or " * 200 + "length > 1", "characters; at most 2000"),
        ("", "the end stands where"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(condition: str, said: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        holds(condition)
    assert said in refused.value.message and "\n" not in refused.value.message and refused.value.param == "condition"


def test_tokens_are_those_of_a_model_that_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="no base model is named whose tokens they are"):
        parse_condition("tokens() > 3", Means())


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("month > 3", "Line 7 has no field 'month'"),
        ("lenght > 10", "has no field 'lenght'; it has: 'text', "),
        ("lenght > 10", "Did you mean 'length'?"),
        ("metadata.autor == 'Ida'", "has no field 'metadata.autor'"),
        ("text > 3", "cannot be said of other values than two numbers or two texts"),
        ("nothing < 3", "Line 7: null < 3 cannot be said"),
    ],
)
def test_what_cannot_be_said_of_a_record_names_it(condition: str, said: str) -> None:
    with pytest.raises(DataError) as refused:
        holds(condition)
    assert said in refused.value.message
