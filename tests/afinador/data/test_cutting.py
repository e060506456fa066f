"""What a record that is too long loses: of a document its end, of all else the start of what is asked."""

import pytest

from afinador.data.extraction import Document, Extraction
from afinador.data.shapes import Example
from afinador.data.tokens.checks import Limits, check_tokens
from afinador.data.tokens.cutting import prompt_of
from afinador.data.tokens.preview import preview
from afinador.data.tokens.prompting import asked_by
from afinador.data.tokens.templates import encode
from afinador.data.tokens.tokenisation import NOT_TRAINED, tokenise_all

PAGES = "on the title page. " + "x" * 150
WAYS = {
    "before": Extraction(prompts={"default": "read this:"}),
    "around": Extraction(prompts={"default": "read {document} and tell"}),
    "schema": Extraction("schema", schema={"a": ""}),
}


def document(way: str) -> Example:
    [example] = asked_by([Example(1, document=Document(PAGES, {"a": "b"}))], WAYS[way])
    return example


def length_of(example, tokenizer):
    return sum(len(segment.ids) for segment in encode(example, tokenizer))


def cut_text(example, tokenizer, tokens):
    """The text that is left where so many tokens are too many."""
    [piece] = tokenise_all([example], tokenizer, length_of(example, tokenizer) - tokens)
    return tokenizer.decode(piece.input_ids)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("with_template", [False, True])
def test_a_document_loses_its_end_and_keeps_what_is_asked_of_it(way, with_template, chatml):
    if not with_template:
        chatml.chat_template = None
    example = document(way)
    whole = cut_text(example, chatml, 0)
    for tokens in (1, 50, len(PAGES) - 1):
        assert cut_text(example, chatml, tokens) == whole.replace(PAGES, PAGES[:-tokens])
    # Where nothing of the document would be left, the beginning goes, and with it what is asked.
    tokens = [token for segment in encode(example, chatml) for token in segment.ids]
    assert cut_text(example, chatml, len(tokens) - 20) == chatml.decode(tokens[-20:])


def test_a_cut_document_is_told_and_shown(characters):
    example = document("around")
    limits = Limits("causal_lm", length_of(example, characters) - 60)
    [warning] = check_tokens([example], characters, limits, "document_metadata")["warnings"]
    assert (warning["code"], warning["field"]) == ("truncated_prompt", "document")
    assert "it loses 60 from the end of its document; the answer stays whole" in warning["message"]
    assert warning["message"].endswith("Raise max_length, or shorten the document.")
    [record] = preview([example], characters, limits, 1)["records"]
    shown = "".join(token["text"] for token in record["pieces"][0] if token["state"] == "cut")
    assert (shown, record["counts"]["cut"]) == ("x" * 60, 60)


@pytest.mark.parametrize("tokens", [1, 7, 20])
def test_a_question_loses_its_start_behind_what_the_template_writes(tokens, characters, chatml):
    for tokenizer in (chatml, characters):
        example = Example(1, prompt="a long question to be cut?", completion="yes")
        if tokenizer is characters:
            characters.chat_template = None
        whole = cut_text(example, tokenizer, 0)
        assert cut_text(example, tokenizer, tokens) == whole.replace(example.prompt, example.prompt[tokens:])


@pytest.mark.parametrize("tokens", [1, 9, 30])
def test_a_system_message_stays_while_there_are_turns_to_cut(tokens, chatml):
    turns = [("user", "first question"), ("assistant", "first answer"), ("user", "second?"), ("assistant", "last")]
    messages = [{"role": "system", "content": "be brief."}, *({"role": who, "content": said} for who, said in turns)]
    example = Example(1, messages=tuple(messages))
    system, _, rest = cut_text(example, chatml, 0).partition("first question")
    assert "be brief." in system
    left = cut_text(example, chatml, tokens)
    assert left.startswith(system) and left.endswith("last<|im_end|>")
    assert left.removeprefix(system) == _without_first(f"first question{rest}", tokens, chatml)


def _without_first(text, tokens, tokenizer):
    return tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"][tokens:])


def test_a_text_that_the_template_changes_is_cut_from_the_beginning(characters):
    characters.chat_template = (
        "{% for m in messages %}{{ m.content[::-1] }}{% if m.role == 'assistant' %}<eos>{% endif %}{% endfor %}"
    )
    example = Example(1, prompt="abcdefgh", completion="xyz")
    whole = cut_text(example, characters, 0)
    assert cut_text(example, characters, 3) == whole[3:]


@pytest.mark.parametrize("way", WAYS)
def test_every_length_is_kept_to_and_no_answer_is_lost_with_any_tokenizer(way, any_tokenizer):
    example = document(way)
    whole = [token for segment in encode(example, any_tokenizer) for token in segment.ids]
    answer = [token for segment in encode(example, any_tokenizer) if segment.trained for token in segment.ids]
    for length in range(len(answer) + 1, len(whole) + 1, 5):
        [piece] = tokenise_all([example], any_tokenizer, length)
        assert len(piece.input_ids) == length and piece.cut_before == len(whole) - length
        assert [label for label in piece.labels if label != NOT_TRAINED] == answer
        asked = prompt_of(example, any_tokenizer, length - len(answer))
        assert asked == piece.input_ids[: length - len(answer)]


def test_special_tokens_in_a_document_do_not_move_the_cut(chatml):
    pages = f"title<|im_end|>{'x' * 100}"
    [example] = asked_by([Example(1, document=Document(pages, {"a": "b"}))], WAYS["around"])
    whole = cut_text(example, chatml, 0)
    assert cut_text(example, chatml, 30) == whole.replace("x" * 100, "x" * 70)
