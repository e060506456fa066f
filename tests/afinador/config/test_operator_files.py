"""Files of the operator: what may stand in them, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afinador.config.documents import read_document
from afinador.config.limits import limits_of
from afinador.config.operator import read_operator_config
from afinador.config.resolve import parse_request, resolve_request
from afinador.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    OutOfRangeError,
)


def test_operator_may_widen_and_narrow_ranges() -> None:
    limits = {"limits": {"epochs": {"maximum": 50}}, "methods": {"lora": {"limits": {"lora_rank": {"maximum": 32}}}}}
    body = {"model": "base", "training_file": "data"}
    asked = parse_request(body | {"hyperparameters": {"epochs": 50}})
    assert resolve_request(asked, limits)[1].epochs == 50
    with pytest.raises(OutOfRangeError, match="4 to 32"):
        resolve_request(parse_request(body | {"hyperparameters": {"lora_rank": 64}}), limits)


def test_limits_do_not_change_which_numbers_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "operator.yaml"
    path.write_text("limits: {weight_decay: {minimum: 0}, lora_bias: {allowed: [none, lora_only]}}")
    asked = parse_request({"model": "base", "training_file": "data", "hyperparameters": {"weight_decay": 0.1}})
    assert resolve_request(asked, read_operator_config(path))[1].weight_decay == 0.1


@pytest.mark.parametrize("number", ["1e-4", "'1e-4'", "1.0e-4", "0.0001"])
def test_numbers_of_an_operator_may_be_written_as_anybody_writes_them(number: str, tmp_path: Path) -> None:
    path = tmp_path / "operator.yaml"
    path.write_text(f"defaults: {{learning_rate: {number}}}\nlimits: {{learning_rate: {{minimum: {number}}}}}")
    operator, body = read_operator_config(path), {"model": "base", "training_file": "data"}
    assert limits_of("lora", operator)["learning_rate"]["default"] == 1e-4
    assert resolve_request(parse_request(body), operator)[1].learning_rate == 1e-4
    asked = parse_request(body | {"hyperparameters": {"learning_rate_multiplier": 2}})
    assert resolve_request(asked, operator)[1].learning_rate == 2e-4
    with pytest.raises(OutOfRangeError, match=r"from 0\.0001 to"):
        resolve_request(parse_request(body | {"hyperparameters": {"learning_rate": 1e-5}}), operator)


def test_what_only_other_methods_allow_an_operator_does_not_make_this_one_allow() -> None:
    operator = {"limits": {"lora_bias": {"allowed": ["none", "lora_only"]}}}
    allowed = {method: limits_of(method, operator)["lora_bias"]["allowed"] for method in ("lora", "qlora")}
    assert allowed == {"lora": ["none", "lora_only"], "qlora": ["none"]}


def test_operator_mistakes_are_named() -> None:
    with pytest.raises(ConfigurationError, match="'epochs'"):
        limits_of("lora", {"defaults": {"epoch": 3}})
    with pytest.raises(ConfigurationError, match=r"1 to 10\.$"):
        limits_of("lora", {"defaults": {"epochs": 30}})
    with pytest.raises(ConfigurationError, match=r"epochs is 3; .* 1 to 2\. Give a default .*: defaults\.epochs\.$"):
        limits_of("lora", {"limits": {"epochs": {"maximum": 2}}})


def test_operator_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "operator.yaml"
    path.write_text("defaults: {epochs: 5}\n")
    assert read_operator_config(path) == {"defaults": {"epochs": 5}}
    assert read_operator_config(None) == {}
    path.write_text("default: {epochs: 5}\n")
    with pytest.raises(ConfigurationError, match="'defaults'"):
        read_operator_config(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"defaults": [1]}, "defaults is an array; it must be an object"),
        ({"limits": {"epochs": 5}}, "limits.epochs is a number; it must be an object"),
        ({"limits": {"epochs": {"max": 5}}}, "limits.epochs has no 'max'. Did you mean 'maximum'"),
        ({"limits": {"epochs": {"maximum": "five"}}}, "limits.epochs.maximum is 'five'; it must be a number"),
        ({"limits": {"epochs": {"maximum": 2}}}, "epochs is 3; it must be from 1 to 2"),
        ({"methods": {"lore": {}}}, "Did you mean 'lora'"),
        ({"methods": {"lora": {"default": {}}}}, "'methods.lora.default'. Did you mean 'methods.lora.defaults'"),
        ({"model_aliases": {"a": 3}}, "model_aliases.a is 3"),
        ({"loaders": "acme"}, "loaders is 'acme'; it must be an array of names of modules"),
        ({"loaders": ["acme.readers", "../x"]}, "loaders is ['acme.readers', '../x']"),
        ({"defaults": {"epoks": 3}}, "'epochs'"),
        ({"defaults": {"zzz": 3}}, "unknown key 'zzz'. All are listed in docs/configuration.md"),
        ({"zzz": {}}, "no section 'zzz'. The sections are: defaults, limits, methods, model_aliases, loaders."),
        ({"methods": {"zzz": {}}}, "methods names 'zzz'. The methods are: full, lora, qlora."),
        ({"limits": {"epochs": {"zzz": 1}}}, "limits.epochs has no 'zzz'. It may have: minimum, maximum, allowed."),
        (
            {"limits": {"optimizer": {"minimum": 1}}},
            "limits.optimizer has 'minimum', which means nothing here; it may ",
        ),
        ({"limits": {"optimizer": {"minimum": 1}}}, "allowed with some of adamw, adamw_8bit, adafactor, sgd."),
        (
            {"limits": {"optimizer": {"allowed": ["adamw", "lion"]}}},
            "optimizer.allowed has 'lion'; it may have some of",
        ),
        ({"limits": {"packing": {"minimum": 5}}}, "limits.packing has 'minimum', which means nothing here; this hyper"),
        (
            {"limits": {"n_epochs": {"allowed": [1]}}},
            "limits.n_epochs has 'allowed', which means nothing here; it may h",
        ),
        ({"limits": {"epochs": {"minimum": 1.5}}}, "limits.epochs.minimum is 1.5; it must be a whole number"),
        ({"limits": {"eval_steps": {"minimum": 5, "maximum": 2}}}, "minimum of eval_steps is 5 and its maximum 2, and"),
        ({"limits": {"epochs": {"minimum": 50}}}, "the minimum of epochs is 50 and its maximum 10"),
        (
            {"methods": {"full": {"defaults": {"lora_rank": 8}}}},
            "methods.full.defaults has 'lora_rank', which is no hyperparameter of this method but of lora and qlora.",
        ),
        (
            {"methods": {"lora": {"limits": {"quantization_bits": {"allowed": [4]}}}}},
            "but of qlora. Leave it out, or give it in methods.qlora.limits.",
        ),
    ],
)
def test_operator_s_file_is_checked_whole_when_it_is_read(content: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "operator.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError) as refusal:
        read_operator_config(path)
    assert words in refusal.value.message and "AFINADOR_CONFIG" in refusal.value.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1, 2]", "it holds an array"),
        (b"12", "it holds a number"),
        (b"", "it holds null"),
        (b"a: [", "neither good YAML nor JSON"),
        (b"\x00", "it is no UTF-8 text"),
        (b"a: !!int x", "neither good YAML nor JSON: a value is not what its tag or form says"),
        (b"a: !!bool maybe", "neither good YAML nor JSON: a value is not"),
        (b"a: !!timestamp now", "neither good YAML nor JSON: a value is not"),
        (b"a: " + b"1" * 5000, "neither good YAML nor JSON: a value is not"),
        (b"[" * 500_000, "neither good YAML nor JSON: it is nested too deeply"),
        (b"{a: " * 101, "neither good YAML nor JSON: it is nested too deeply"),
        (b"- " * 5000, "neither good YAML nor JSON: it is nested too deeply"),
        (b"\xff", "it is no UTF-8 text"),
    ],
)
def test_documents_must_be_objects(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=said) as refusal:
        read_document(path)
    assert refusal.value.message.count("job.yaml") == 1 and "Errno" not in refusal.value.message


def test_a_document_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"Cannot read .*job\.yaml: No such file or directory\. Check the path\."):
        read_document(tmp_path / "job.yaml")
    with pytest.raises(InvalidRequestError, match=r"Cannot read .*: Is a directory"):
        read_document(tmp_path)


def test_json_documents_are_read(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"warmup_steps": 100}))
    assert read_document(path) == {"warmup_steps": 100}


@pytest.mark.parametrize("name", ["job.json", "job.yaml"])
def test_a_byte_order_mark_before_a_document_is_not_of_it(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b'\xef\xbb\xbf{"warmup_steps": 100}')
    assert read_document(tmp_path / name) == {"warmup_steps": 100}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ name }}: 1", "The key 'mapping' in line 1 is no text"),
        ("a: 1\n? [b]\n: 2", "The key 'sequence' in line 2 is no text"),
        ("on: 3", "The key 'on' in line 1 is no text; if it is meant as one, put it between quotes"),
        ("1: 3", "The key '1' in line 1 is no text"),
        (
            "a: 1\nepochs:\n",
            "The key 'epochs' in line 2 has no value; give it one, or leave the key out. Where null is",
        ),
        ("hyperparameters: {epochs: , lr: 1}", "The key 'epochs' in line 1 has no value"),
    ],
)
def test_keys_of_a_file_are_texts(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(InvalidRequestError, match=said):
        read_document(path)


def test_values_that_only_look_empty_are_read(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("a: null\nb: ''\nc: []\nd: {}\ne: ~\nf: |\n  x\ng: !!str\n")
    assert read_document(path) == {"a": None, "b": "", "c": [], "d": {}, "e": None, "f": "x\n", "g": ""}


def test_numbers_in_a_file_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(
        "a: 010\nb: 1:30\nc: -0x1F\nd: 08\ne: 1.5\nf: +3\ng: 0\nh: .5\ni: 1.0e-4\nj: 1e-4\nk: 2E3\nl: e4\nm: 1.5e3"
    )
    assert read_document(path) == {
        "a": 10, "b": "1:30", "c": -31, "d": 8, "e": 1.5, "f": 3, "g": 0, "h": 0.5, "i": 1e-4, "j": 1e-4, "k": 2e3,
        "l": "e4", "m": 1.5e3,
    }  # fmt: skip


def test_dates_in_a_file_are_texts_as_json_would_have_them(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("name: 2026-11-21")
    assert read_document(path) == {"name": "2026-11-21"}


BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 30)
)
MERGED = "a0: &a0 {k: 1}\n" + "".join(
    f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}\n" for level in range(1, 30)
)
LONG_TEXT = f"text: &text {'x' * 10_000}\nmany: [{', '.join(['*text'] * 1_001)}]\n"


@pytest.mark.parametrize("text", [BOMB, MERGED, LONG_TEXT], ids=["arrays", "merged objects", "a long text"])
def test_aliases_that_say_much_in_little_are_refused_before_anything_is_made_of_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(InvalidRequestError) as caught:
        read_document(path)
    assert str(path) in caught.value.message
    assert "repeat more than 100,000 values" in caught.value.message


def test_an_alias_of_itself_is_refused_as_such(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("epochs: 1\ntarget_modules: &a [*a]\n")
    with pytest.raises(InvalidRequestError, match=r"begins in line 2 holds an alias .* of itself"):
        read_document(path)


def test_aliases_and_much_without_them_are_read(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(f"a: &a [1, 2]\nb: [*a, *a]\nc: [{'1, ' * 20_000}1]\nd: {'x' * 200_000}\n")
    document = read_document(path)
    assert document["b"] == [[1, 2], [1, 2]]
    assert len(document["c"]) == 20_001
