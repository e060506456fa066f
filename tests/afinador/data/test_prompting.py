"""How a model is to be asked is how its data was written."""

import pytest

from afinador.data.shapes import Example
from afinador.data.tokens.cutting import prompt_of
from afinador.data.tokens.prompting import Following, prompt_form

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
QUESTION = {"role": "user", "content": "What can you do for me?"}
ANSWER = {"role": "assistant", "content": "Little."}
EXAMPLES = {
    "conversation with system": Example(1, messages=(SYSTEM, QUESTION, ANSWER)),
    "conversation": Example(1, messages=(QUESTION, ANSWER)),
    "question": Example(1, prompt=QUESTION["content"], completion=ANSWER["content"]),
}


def seen(examples):
    """What is known of examples that have passed by."""
    following = Following(examples)
    assert list(following) == examples
    return following.summary()


def ids_of_code(form, tokenizer):
    """Run the part of the code that makes the input."""
    names = {"tokenizer": tokenizer}
    exec(
        form.code().split("output = ")[0].replace('return_tensors="pt", ', "").replace(', return_tensors="pt"', ""),
        names,
    )
    return list(names["inputs"]["input_ids"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_code_without_chat_template_makes_the_prompt_that_was_trained(characters, name):
    form = prompt_form(seen([EXAMPLES[name]]), characters)
    assert form.name == name.split()[0]
    assert ids_of_code(form, characters) == prompt_of(EXAMPLES[name], characters)
    assert (form.stop_tokens, form.stop_token_ids) == (["<eos>"], [characters.eos_token_id])


@pytest.mark.parametrize("name", EXAMPLES)
def test_code_with_chat_template_makes_the_prompt_that_was_trained(chatml, name):
    form = prompt_form(seen([EXAMPLES[name]]), chatml)
    assert (form.name, form.prompt) == ("chat_template", None)
    assert ids_of_code(form, chatml) == prompt_of(EXAMPLES[name], chatml)
    assert form.stop_tokens == ["<eos>", "<|im_end|>"]
    assert "`<|im_end|>`" in form.sentences()


def test_text_is_gone_on_with_also_where_there_is_a_chat_template(chatml):
    form = prompt_form(seen([Example(1, text="Once")]), chatml)
    assert (form.name, form.prompt, form.stop_tokens) == ("text", "{prompt}", ["<eos>"])
