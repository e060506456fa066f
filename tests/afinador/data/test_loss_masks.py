"""Which tokens are learnt, token by token, for each shape, with and without chat template."""

import pytest

from afinador.data.shapes import Example
from afinador.data.tokens.cutting import prompt_of
from afinador.data.tokens.templates import render, stop_ids, template_name
from afinador.data.tokens.tokenisation import NOT_TRAINED, count_cuts, count_examples, count_targets, tokenise_all
from afinador.errors import DataError, ModelError

LONG = 10_000
CONVERSATION = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "a b?"},
    {"role": "assistant", "content": "c d"},
    {"role": "user", "content": "e?"},
    {"role": "assistant", "content": "f"},
)


def tokenise(example, tokenizer, max_length):
    """The one piece that an example makes."""
    [piece] = tokenise_all([example], tokenizer, max_length)
    return piece


def tokens_with_mask(example, tokenizer, max_length=LONG):
    """Each token as text, those that are learnt with a star before them."""
    tokenised = tokenise(example, tokenizer, max_length)
    assert len(tokenised.labels) == len(tokenised.input_ids)
    tokens = tokenizer.convert_ids_to_tokens(tokenised.input_ids)
    assert all(label in (NOT_TRAINED, token) for label, token in zip(*both(tokenised), strict=True))
    return [
        token if label == NOT_TRAINED else f"*{token}" for token, label in zip(tokens, tokenised.labels, strict=True)
    ]


def both(tokenised):
    return tokenised.labels, tokenised.input_ids


def learnt_text(tokenised, tokenizer):
    return tokenizer.decode([label for label in tokenised.labels if label != NOT_TRAINED])


def starred(text):
    return [f"*{letter}" for letter in text]


def test_prompt_completion_learns_the_answer_and_its_end_alone(characters):
    example = Example(1, prompt="hi", completion="yo")
    expected = [*"Human: hi\nAssistant:", *starred(" yo"), "*<eos>"]
    assert tokens_with_mask(example, characters) == expected


def test_one_leading_space_of_a_completion_is_dropped(characters):
    spaced, plain, two = (Example(1, prompt="hi", completion=text) for text in (" yo", "yo", "  yo"))
    assert tokenise(spaced, characters, LONG) == tokenise(plain, characters, LONG)
    assert tokens_with_mask(two, characters)[-5:] == [*starred("  yo"), "*<eos>"]


def test_sentencepiece_adds_no_space_at_borders_and_bos_once_and_no_eos_to_the_prompt(sentencepiece):
    example = Example(1, prompt="a", completion="ba a")
    expected = ["<s>", "▁", *"Human:", "▁a", "\n", *"Assistant:", "*▁", "*b", "*a", "*▁a", "*</s>"]
    assert tokens_with_mask(example, sentencepiece) == expected


def test_plain_conversation_learns_every_answer(characters):
    expected = [
        *"System: Be brief.\nUser: a b?\nAssistant:",
        *starred(" c d"),
        "*<eos>",
        *"\nUser: e?\nAssistant:",
        *starred(" f"),
        "*<eos>",
    ]
    assert tokens_with_mask(Example(1, messages=CONVERSATION), characters) == expected


def test_plain_conversation_with_sentencepiece_joins_to_the_written_text(sentencepiece):
    tokenised = tokenise(Example(1, messages=CONVERSATION), sentencepiece, LONG)
    written = "<s> System: Be brief.\nUser: a b?\nAssistant: c d</s>\nUser: e?\nAssistant: f</s>"
    tokens = sentencepiece.convert_ids_to_tokens(tokenised.input_ids)
    assert "".join(tokens).replace("▁", " ") == written


@pytest.mark.parametrize("weighted, learnt", [(0, " f<eos>"), (2, " c d<eos>")])
def test_weight_zero_masks_an_answer(characters, weighted, learnt):
    messages = [dict(message) for message in CONVERSATION]
    messages[2 if weighted == 0 else 4]["weight"] = 0
    tokenised = tokenise(Example(1, messages=tuple(messages)), characters, LONG)
    assert learnt_text(tokenised, characters) == learnt
    assert tokenised.labels[-1] == characters.eos_token_id


def test_text_is_learnt_whole_but_for_what_stands_first(characters, sentencepiece):
    assert tokens_with_mask(Example(1, text="hey"), characters) == ["h", "*e", "*y", "*<eos>"]
    assert tokens_with_mask(Example(1, text="hey"), sentencepiece) == ["<s>", "*▁", "*h", "*e", "*y", "*</s>"]


def test_chat_template_learns_every_answer_with_its_end_of_turn(chatml):
    def header(role):
        return ["<|im_start|>", *role, "\n"]

    expected = [
        *header("system"), *"Be brief.", "<|im_end|>", "\n",
        *header("user"), *"a b?", "<|im_end|>", "\n",
        *header("assistant"), *starred("c d"), "*<|im_end|>", "\n",
        *header("user"), *"e?", "<|im_end|>", "\n",
        *header("assistant"), *starred("f"), "*<|im_end|>",
    ]  # fmt: skip
    assert tokens_with_mask(Example(1, messages=CONVERSATION), chatml) == expected


def test_chat_template_learns_no_answer_of_weight_zero(chatml):
    messages = tuple({**message, "weight": 0} if message["content"] == "c d" else message for message in CONVERSATION)
    assert learnt_text(tokenise(Example(1, messages=messages), chatml, LONG), chatml) == "f<|im_end|>"


def test_chat_template_takes_prompt_and_completion_as_user_and_assistant(chatml):
    pair = Example(1, prompt="a b?", completion="c d")
    turns = Example(1, messages=CONVERSATION[1:3])
    assert tokenise(pair, chatml, LONG) == tokenise(turns, chatml, LONG)


def test_chat_template_with_bos_writes_it_once_and_eos_once(instruct):
    example = Example(1, prompt="b", completion="c")
    tokens = tokens_with_mask(example, instruct)
    assert tokens[0] == "<s>" and tokens.count("<s>") == 1
    assert tokens[-1] == "*</s>" and sum(token.endswith("</s>") for token in tokens) == 1
    assert [token for token in tokens if token.startswith("*")] == ["*▁", "*c", "*</s>"]


def test_chat_template_without_end_of_turn_is_closed_with_eos(characters):
    characters.chat_template = "{% for message in messages %}{{ message.role[0] }}:{{ message.content }}\n{% endfor %}"
    tokens = tokens_with_mask(Example(1, prompt="hi", completion="yo"), characters)
    assert tokens == [*"u:hi\n", *starred("a:yo\n"), "*<eos>"]


def test_chat_template_that_rewrites_earlier_answers_still_learns_the_words(characters):
    characters.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' and loop.last %}(hm){% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenised = tokenise(Example(1, messages=CONVERSATION), characters, LONG)
    assert learnt_text(tokenised, characters) == "c d<|im_end|>(hm)f<|im_end|>"


def test_text_that_looks_like_special_tokens_stays_text(chatml, sentencepiece):
    injected = "x<|im_end|>y<eos>"
    tokens = tokens_with_mask(Example(1, prompt=injected, completion=injected), chatml)
    assert tokens.count("<|im_end|>") == 1 and tokens.count("*<|im_end|>") == 1 and "*<eos>" not in tokens
    assert chatml.decode(tokenise(Example(1, prompt="q", completion=injected), chatml, LONG).input_ids).endswith(
        f"{injected}<|im_end|>"
    )
    tokens = tokens_with_mask(Example(1, prompt="<s>x</s>", completion="</s>y"), sentencepiece)
    assert tokens.count("<s>") == 1 and "</s>" not in tokens and tokens.count("*</s>") == 1


def test_tool_arguments_reach_the_template_as_an_object(chatml):
    call = {"id": "1", "type": "function", "function": {"name": "go", "arguments": '{"to": "Lima"}'}}
    messages = ({"role": "user", "content": "Go"}, {"role": "assistant", "content": "", "tool_calls": [call]})
    tools = ({"type": "function", "function": {"name": "go"}},)
    tokenised = tokenise(Example(1, messages=messages, tools=tools), chatml, LONG)
    assert learnt_text(tokenised, chatml) == '[go {"to": "Lima"}]<|im_end|>'


def test_tools_without_chat_template_are_refused(characters):
    tools = ({"type": "function", "function": {"name": "go"}},)
    with pytest.raises(DataError, match=r"line 7.*chat template"):
        tokenise(Example(7, messages=CONVERSATION, tools=tools), characters, LONG)


def test_conversation_that_the_template_refuses_is_named(instruct):
    with pytest.raises(DataError, match=r"line 4.*roles must alternate"):
        tokenise(Example(4, messages=CONVERSATION), instruct, LONG)


def test_tokenizer_without_eos_is_refused(characters):
    characters.eos_token = None
    with pytest.raises(ModelError, match="end-of-sequence"):
        tokenise(Example(1, prompt="a", completion="b"), characters, LONG)


EXAMPLES = {
    "pair": Example(1, prompt="What is 6 x 7?", completion="It is 42."),
    "newline": Example(1, prompt="Two lines\nhere", completion="\n\n- one\n- two"),
    "accents": Example(1, prompt="¿Qué?", completion=" añadir  dos"),
    "messages": Example(1, messages=CONVERSATION),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_tokenizer_joins_pieces_to_the_written_text(any_tokenizer, name):
    example = EXAMPLES[name]
    tokenised = tokenise(example, any_tokenizer, LONG)
    end = any_tokenizer.eos_token
    bos = any_tokenizer.bos_token if tokenised.input_ids[0] == any_tokenizer.bos_token_id else ""
    written = "".join(segment.text + end * segment.closes for segment in render(example, any_tokenizer))
    assert any_tokenizer.decode(tokenised.input_ids).removeprefix(bos).removeprefix(" ") == written
    learnt = "".join(segment.text + end for segment in render(example, any_tokenizer) if segment.trained)
    assert learnt_text(tokenised, any_tokenizer).strip() == learnt.strip()


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_tokenizer_learns_eos_once_an_answer_and_doubles_no_bos(any_tokenizer, name):
    assert any_tokenizer.pad_token_id == any_tokenizer.eos_token_id
    tokenised = tokenise(EXAMPLES[name], any_tokenizer, LONG)
    answers = 2 if name == "messages" else 1
    assert tokenised.labels.count(any_tokenizer.eos_token_id) == answers
    assert tokenised.labels[-1] == any_tokenizer.eos_token_id
    adds_bos = any_tokenizer("a")["input_ids"][0] == any_tokenizer.bos_token_id
    if any_tokenizer.bos_token_id not in (None, any_tokenizer.eos_token_id):
        assert tokenised.input_ids.count(any_tokenizer.bos_token_id) == adds_bos
    assert tokenised.labels[0] == NOT_TRAINED


@pytest.mark.parametrize("name", EXAMPLES)
def test_prompt_is_the_beginning_of_what_is_trained_on(any_tokenizer, name):
    prompt = prompt_of(EXAMPLES[name], any_tokenizer)
    tokenised = tokenise(EXAMPLES[name], any_tokenizer, LONG)
    assert tokenised.input_ids[: len(prompt)] == prompt
    assert NOT_TRAINED not in tokenised.labels[len(prompt) :]


def test_prompt_with_chat_template_ends_with_the_generation_prompt(chatml):
    prompt = chatml.decode(prompt_of(Example(1, messages=CONVERSATION), chatml))
    assert prompt.endswith("e?<|im_end|>\n<|im_start|>assistant\n")
    assert prompt_of(Example(1, text="hey"), chatml) == []


def test_template_name_says_what_is_used(characters, instruct):
    assert (template_name(characters), template_name(instruct)) == ("plain", "chat_template")


def test_stop_ids_hold_eos_and_the_end_of_turn(characters, chatml):
    assert stop_ids(chatml) == chatml.convert_tokens_to_ids(["<eos>", "<|im_end|>"])
    characters.chat_template = None
    assert stop_ids(characters) == [characters.eos_token_id]


@pytest.mark.parametrize(("tokens", "kept"), [(5, 9), (8, 1)])
def test_too_long_loses_the_start_of_the_prompt_and_only_where_that_is_not_enough_of_all_after_bos(
    tokens, kept, sentencepiece
):
    example = Example(1, prompt="bcdefghi", completion="xyz")
    whole = tokenise(example, sentencepiece, LONG)
    cut = tokenise(example, sentencepiece, len(whole.input_ids) - tokens)
    assert cut.input_ids == [*whole.input_ids[:kept], *whole.input_ids[kept + tokens :]]
    assert count_targets(cut) == count_targets(whole)
    assert cut.cut_tokens == tokens


def test_answer_that_is_too_long_loses_its_end_and_eos(characters):
    tokens = tokens_with_mask(Example(1, prompt="hi", completion="abcdefgh"), characters, max_length=5)
    assert tokens == [" ", "*a", "*b", "*c", "*d"]


@pytest.mark.parametrize("max_length", range(2, 40))
def test_an_answer_is_cut_only_when_no_prompt_is_left_and_the_side_is_told(any_tokenizer, max_length):
    example = Example(1, prompt="a long question, cut first", completion="short")
    whole = tokenise(example, any_tokenizer, LONG)
    cut = tokenise(example, any_tokenizer, max_length)
    assert cut.cut_tokens == max(0, len(whole.input_ids) - max_length)
    if cut.cut_after:
        assert cut.cut_before and count_targets(cut) >= max_length - 1
    else:  # a first token is never learnt, for nothing stands before it
        assert cut.labels[1:] == whole.labels[1 - len(cut.labels) :]
    counts = count_cuts((each.cut_before, each.cut_after) for each in (whole, cut))
    assert (counts.prompt_tokens, counts.end_tokens) == (cut.cut_before, cut.cut_after)
    assert (counts.records, counts.prompts, counts.ends) == (cut.cut_tokens > 0, cut.cut_before > 0, cut.cut_after > 0)


def test_nothing_left_to_learn_is_refused(characters):
    with pytest.raises(DataError, match=r"line 9.*max_length 1"):
        tokenise(Example(9, prompt="hi", completion="yo"), characters, 1)


TEXT = "Anarchism is a political philosophy. " * 40


@pytest.mark.parametrize("max_length", [3, 4, 7, 256, 257, LONG])
def test_long_text_is_learnt_token_for_token_once_and_in_order(any_tokenizer, max_length):
    pieces = list(tokenise_all([Example(1, text=TEXT)], any_tokenizer, max_length))
    whole = tokenise(Example(1, text=TEXT), any_tokenizer, LONG)
    learnt = [label for piece in pieces for label in piece.labels if label != NOT_TRAINED]
    assert learnt == [label for label in whole.labels if label != NOT_TRAINED]
    assert learnt.count(any_tokenizer.eos_token_id) == 1 and learnt[-1] == any_tokenizer.eos_token_id
    assert max(len(piece.input_ids) for piece in pieces) <= max_length
    assert all(len(piece.input_ids) == max_length for piece in pieces[:-1])
    assert [piece.continues for piece in pieces] == [index > 0 for index in range(len(pieces))]
    assert not any(piece.cut_tokens for piece in pieces)


def test_each_piece_of_a_text_has_bos_and_the_token_before_it_as_context(sentencepiece, characters):
    def starred(tokenizer, max_length):
        return [
            " ".join(
                token if label == NOT_TRAINED else f"*{token}"
                for token, label in zip(tokenizer.convert_ids_to_tokens(piece.input_ids), piece.labels, strict=True)
            )
            for piece in tokenise_all([Example(1, text="bcdefg")], tokenizer, max_length)
        ]

    assert starred(characters, 3) == ["b *c *d", "d *e *f", "f *g *<eos>"]
    assert starred(sentencepiece, 4) == ["<s> *▁ *b *c", "<s> c *d *e", "<s> e *f *g", "<s> g *</s>"]


def test_texts_stay_in_order_and_apart(characters):
    pieces = list(tokenise_all([Example(1, text="abcd"), Example(2, text="x"), Example(3, text="efgh")], characters, 4))
    assert [characters.decode(piece.input_ids) for piece in pieces] == ["abcd", "d<eos>", "x<eos>", "efgh", "h<eos>"]
    assert count_examples(pieces) == 3


def test_length_without_room_for_a_token_and_its_context_is_refused(characters):
    with pytest.raises(DataError, match=r"line 5.*max_length 1"):
        list(tokenise_all([Example(5, text="abc")], characters, 1))
