"""Tokens made by several processes are those of one, whatever happens to them."""

from __future__ import annotations

import os
import signal

import pytest

from afinador.data.shapes import Example
from afinador.data.tokens import tokenising
from afinador.data.tokens.tokenising import Tokenise, tokenised
from afinador.errors import DataError

pytestmark = pytest.mark.usefixtures("others_do_the_work")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(tokenising, "EXAMPLES_IN_PART", 5)


def examples(count):
    for line in range(1, count + 1):
        said = (
            {"role": "user", "content": f"question {line}"},
            {"role": "assistant", "content": "yes " * (line % 7 + 1)},
        )
        yield Example(line=line, messages=list(said))


def test_texts_to_be_classified_get_the_ids_of_their_classes(characters):
    texts = [Example(line=line, prompt=f"text {line}", completion=["a", "b"][line % 2]) for line in range(12)]
    tokenise = Tokenise(characters, 40, ("a", "b"))
    assert [each.labels for each in tokenised(texts, tokenise, 1)] == [[line % 2] for line in range(12)]


def test_several_processes_make_the_same_tokens_in_the_same_order_also_when_one_is_killed(chatml, monkeypatch):
    started = []
    really_start = tokenising.in_order.__globals__["subprocess"].Popen

    def start(*given, **more):
        started.append(really_start(*given, **more))
        return started[-1]

    monkeypatch.setattr(tokenising.in_order.__globals__["subprocess"], "Popen", start)
    tokenise = Tokenise(chatml, 40)
    alone = list(tokenise(examples(60)))
    made = []
    for each in tokenised(examples(60), tokenise, 2):
        if not made:
            os.kill(started[0].pid, signal.SIGKILL)
        made.append(each)
    assert made == alone


def test_the_error_of_a_record_is_that_of_one_process(chatml):
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]
    bad = Example(line=99, messages=said)
    with pytest.raises(DataError) as alone:
        list(tokenised([*examples(8), bad], Tokenise(chatml, 40), 1))
    with pytest.raises(DataError) as shared:
        list(tokenised([*examples(8), bad], Tokenise(chatml, 40), 2))
    assert shared.value.message == alone.value.message
