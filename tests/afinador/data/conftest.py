"""Verdicts on records, tokenizers that the tests make themselves, one of each border behaviour, and those of the shared data."""

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from afinador.data.tokens.process import TokenProcess
from afinador.data.validation import validate_dataset

SHARED_DATA = Path(__file__).parents[4] / "shared" / "data"
ALPHABET = [chr(code) for code in range(33, 127)] + list("áéíñ¿¡\n")

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls %}[{{ call.function.name }} {{ call.function.arguments | tojson }}]{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INSTRUCT = (
    "{{ bos_token }}{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% if message.role == 'user' %}[INST] {{ message.content }}"
    "[/INST]{% else %} {{ message.content }}{{ eos_token }}{% endif %}{% endfor %}"
)


def pytest_generate_tests(metafunc):
    if "any_tokenizer" in metafunc.fixturenames:
        own = ["characters", "sentencepiece"]
        shared = ["tokenizers/mistral-v3", "tokenizers/gpt2-bbpe", "models/stories260k"]
        marked = [pytest.param(name, marks=pytest.mark.shared_data) for name in shared]
        metafunc.parametrize("any_tokenizer", own + marked, indirect=True, scope="session")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is absent: it holds the shared test data")
    return SHARED_DATA


@pytest.fixture
def verdict(tmp_path):
    def judge(records, name="a.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return validate_dataset(path, name)

    return judge


@pytest.fixture(scope="session")
def any_tokenizer(request):
    """Made or loaded once for all tests, so none may change it. Padding is EOS, the case that is easy to get wrong."""
    if request.param == "characters":
        tokenizer = character_tokenizer()
    elif request.param == "sentencepiece":
        tokenizer = sentencepiece_tokenizer()
    else:
        tokenizer = AutoTokenizer.from_pretrained(request.getfixturevalue("shared_data") / request.param)
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@pytest.fixture(scope="session")
def process():
    with TokenProcess() as started:
        yield started


@pytest.fixture
def characters() -> PreTrainedTokenizerFast:
    return character_tokenizer()


@pytest.fixture
def sentencepiece() -> PreTrainedTokenizerFast:
    return sentencepiece_tokenizer()


@pytest.fixture
def chatml(characters) -> PreTrainedTokenizerFast:
    characters.chat_template = CHATML
    return characters


@pytest.fixture
def instruct(sentencepiece) -> PreTrainedTokenizerFast:
    sentencepiece.chat_template = INSTRUCT
    return sentencepiece


def character_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each character, nothing added before a text, EOS also the pad token, no BOS."""
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate([*ALPHABET, " "])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    special = [AddedToken(text, special=True) for text in ("<eos>", "<|im_start|>", "<|im_end|>")]
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")


def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """As old Llama: a space is put before every text, BOS is added, an EOS is appended too (as T5 does)."""
    vocabulary = {token: at for at, token in enumerate(["<unk>", "<s>", "</s>", "▁", *ALPHABET, "▁a"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("▁", "a")], unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in ("<unk>", "<s>", "</s>")])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
