"""What a preview shows, against what is trained and against what a report counts."""

from __future__ import annotations

import pytest

from afinador.data.shapes import Example
from afinador.data.tokens.checks import Limits, check_tokens
from afinador.data.tokens.preview import TOKENS_SHOWN, preview, token_texts
from afinador.data.tokens.tokenisation import NOT_TRAINED, tokenise_all
from afinador.schemas.dataset_reports import PreviewedRecord


def test_token_texts_make_up_the_text(any_tokenizer):
    text = "Dos añós, naïve 😀 日本語 <s>\n\tand  spaces"
    ids = any_tokenizer(text, add_special_tokens=False)["input_ids"]
    texts = token_texts(ids, any_tokenizer)
    assert len(texts) == len(ids)
    assert "".join(texts) == any_tokenizer.decode(ids, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("max_length", [6, 12, 30, 500])
def test_a_preview_shows_exactly_what_is_trained(any_tokenizer, max_length):
    examples = [Example(1, prompt="a long question", completion="an answer"), Example(2, text="some words " * 9)]
    shown = preview(examples, any_tokenizer, Limits("causal_lm", max_length), records=5)["records"]
    trained = list(tokenise_all(examples, any_tokenizer, max_length))
    seen = [[token for token in piece if token["state"] != "cut"] for record in shown for piece in record["pieces"]]
    assert [[token["id"] for token in piece] for piece in seen] == [piece.input_ids for piece in trained]
    assert [[token["state"] == "trained" for token in piece] for piece in seen] == [
        [label != NOT_TRAINED for label in piece.labels] for piece in trained
    ]
    assert shown[0]["counts"]["cut"] == trained[0].cut_tokens


@pytest.mark.parametrize("max_length", [5, 12, 500])
def test_a_preview_counts_the_tokens_that_the_report_does_and_those_that_it_shows_again(any_tokenizer, max_length):
    """Also of a text in pieces, each of which shows the end of the one before it once more."""
    for example in (Example(1, text="some words " * 9), Example(1, prompt="some words " * 9, completion="an answer")):
        limits = Limits("causal_lm", max_length)
        told = check_tokens([example], any_tokenizer, limits)["tokens"]
        [shown] = preview([example], any_tokenizer, limits, records=1)["records"]
        assert sum(shown["counts"].values()) - shown["repeated"] == told["tokens"]
        assert shown["counts"]["trained"] == told["trained_tokens"]
        assert (shown["repeated"] > 0) == (len(shown["pieces"]) > 1)


@pytest.mark.parametrize("max_length", [100, 200_000])
def test_of_a_long_record_the_middle_of_what_is_not_learnt_is_hidden(any_tokenizer, max_length):
    """Its answer is what a person looks for; it stands at the end."""
    whole = Example(1, prompt="some other words " * 3000, completion="an answer")
    shown, record = _shown(whole, any_tokenizer, max_length)
    state = "cut" if max_length == 100 else "masked"
    assert [token["state"] for token in shown].count("trained") == record.counts["trained"] > 0
    [place] = [place for place, token in enumerate(shown) if token["hidden_before"]]
    assert len(shown) == TOKENS_SHOWN and shown[place]["hidden_before"] == record.tokens_hidden
    assert shown[place - 1]["state"] == shown[place]["state"] == state and record.hidden_at_end() == 0
    ids = any_tokenizer(whole.completion, add_special_tokens=False)["input_ids"]
    assert ids[-1] in [token["id"] for token in shown[-3:]]
    assert "some other words" in "".join(token["text"] for token in shown[place : place + 40])


def test_of_what_is_learnt_only_the_end_is_hidden(characters):
    shown, record = _shown(Example(1, prompt="p" * 3000, completion="abc" * 3000), characters, 20_000)
    assert len(shown) == TOKENS_SHOWN and sum(record.counts.values()) == TOKENS_SHOWN + record.tokens_hidden
    hidden = sum(token["hidden_before"] for token in shown)
    assert 2500 < hidden < 3000 and record.hidden_at_end() == record.tokens_hidden - hidden
    assert shown[-1]["state"] == "trained"


def _shown(example, tokenizer, max_length):
    """Return the tokens of the one piece that is shown, as they are sent, and the record."""
    [record] = preview([example], tokenizer, Limits("causal_lm", max_length), records=1)["records"]
    [tokens] = record["pieces"]
    return tokens, PreviewedRecord.model_validate({**record, "place": "Line 1"})
