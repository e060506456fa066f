"""From a request to checked values."""

from __future__ import annotations

from typing import Any

import pytest

from afinador.config.architectures import check_parameter_count
from afinador.config.hyperparameters import METHODS_TODAY, Hyperparameters
from afinador.config.layers import resolve_hyperparameters
from afinador.config.limits import limits_of
from afinador.config.resolve import (
    parse_request,
    resolve_method,
    resolve_request,
    resolve_task,
    slug,
)
from afinador.errors import (
    InvalidRequestError,
    ModelTooLargeError,
    OutOfRangeError,
    UnknownFieldError,
    UnsupportedModelError,
)

BODY = {"model": "base", "training_file": "data"}


def resolve(**fields: Any) -> Any:
    operator = fields.pop("operator", None)
    return resolve_request(parse_request(BODY | fields), operator)


def test_specification_defaults_hold() -> None:
    method, values, sources = resolve()
    assert method == "lora"
    assert (values.epochs, values.learning_rate, values.batch_size) == (3, 5e-5, 32)
    assert (values.lora_rank, values.lora_alpha, values.lora_dropout) == (16, 32, 0.1)
    assert set(sources.values()) == {"default"}


@pytest.mark.parametrize(
    ("key", "lowest", "highest", "below", "above"),
    [
        ("epochs", 1, 10, 0, 11),
        ("learning_rate", 1e-6, 1e-3, 9e-7, 1.1e-3),
        ("batch_size", 1, 256, 0, 257),
        ("lora_rank", 4, 64, 3, 65),
        ("lora_alpha", 8, 64, 7.9, 64.1),
        ("lora_dropout", 0.0, 0.5, -0.1, 0.51),
    ],
)
def test_specification_ranges_hold(key: str, lowest: float, highest: float, below: float, above: float) -> None:
    for good in (lowest, highest):
        assert getattr(resolve(hyperparameters={key: good})[1], key) == good
    for bad in (below, above):
        with pytest.raises(OutOfRangeError, match=key) as caught:
            resolve(hyperparameters={key: bad})
        assert caught.value.param == f"hyperparameters.{key}"
        assert str(bad) in caught.value.message


def test_qlora_has_the_keys_of_lora_and_its_bits() -> None:
    method, values, _ = resolve(tuning_method="qlora")
    assert (method, values.quantization_bits, values.lora_rank, values.lora_dropout) == ("qlora", 8, 16, 0.1)
    for given in (4, 8, 4.0):
        assert (
            resolve(tuning_method="qlora", hyperparameters={"quantization_bits": given})[1].quantization_bits == given
        )
    assert set(limits_of("qlora")) == {*limits_of("lora"), "quantization_bits"}
    assert limits_of("qlora")["lora_rank"] == limits_of("lora")["lora_rank"]


def test_a_place_that_is_not_filled_is_refused_in_a_prompt() -> None:
    with pytest.raises(InvalidRequestError, match=r"the place '\{documnt\}'; the only one .* '\{document\}'") as caught:
        resolve(hyperparameters={"prompts": {"tesis": "De {document}:", "libro": "Extrae de {documnt}"}})
    assert caught.value.param == "hyperparameters.prompts"
    resolve(hyperparameters={"prompts": {"tesis": 'Como {"título": "…"} o {{autor}}: {document}'}})


@pytest.mark.parametrize(
    ("method", "param"),
    [
        ({"type": "supervised", "supervised": {"hyperparams": {"n_epochs": 2}}}, "method.supervised.hyperparams"),
        ({"type": "supervised", "hyperparameters": {"n_epochs": 2}}, "method.hyperparameters"),
        ({"type": "supervised", "dpo": {"hyperparameters": {"n_epochs": 2}}}, "method.dpo"),
        ({"supervised": [2]}, "method.supervised"),
        ({"supervised": {"hyperparameters": "n_epochs=2"}}, "method.supervised.hyperparameters"),
    ],
)
def test_nothing_in_a_method_is_passed_over(method: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"method must be \{") as caught:
        resolve(method=method)
    assert caught.value.param == param


def test_hyperparameters_in_the_config_are_an_object_or_nothing() -> None:
    for wrong in ([], 0, "", False):
        with pytest.raises(InvalidRequestError, match="must be an object"):
            resolve(config={"hyperparameters": wrong})
    assert resolve(config={"hyperparameters": None, "epochs": 2})[1].epochs == 2


def test_one_seed_is_given() -> None:
    with pytest.raises(InvalidRequestError, match="seed is 1, and 2 among the hyperparameters"):
        resolve(seed=1, hyperparameters={"seed": 2})
    assert parse_request(BODY | {"seed": 1, "hyperparameters": {"seed": 1}}).seed == 1
    assert parse_request(BODY | {"seed": 1, "config": {"seed": 2}}).seed == 1


def test_both_bodies_mean_the_same() -> None:
    openai = parse_request({"model": "m", "training_file": "t", "validation_file": "v"})
    specification = parse_request({"base_model": "m", "dataset": "t", "validation_dataset": "v"})
    assert openai == specification


def test_method_and_top_level_hyperparameters_mean_the_same() -> None:
    nested = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": "auto"}}}
    assert resolve(method=nested)[1] == resolve(hyperparameters={"n_epochs": 2})[1]


def test_numbers_may_be_texts_also_where_few_are_allowed() -> None:
    assert resolve(tuning_method="qlora", hyperparameters={"quantization_bits": "4"})[1].quantization_bits == 4


def test_multiplier_multiplies_the_default() -> None:
    assert resolve(hyperparameters={"learning_rate_multiplier": 2})[1].learning_rate == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"hyperparmeters": {}}, UnknownFieldError, "'hyperparameters'"),
        ({"lora_rank": 8}, UnknownFieldError, "It is a hyperparameter: give it inside 'hyperparameters'"),
        ({"n_epochs": 2}, UnknownFieldError, "It is a hyperparameter: give it inside 'hyperparameters'"),
        ({"lern_rate": 1e-4}, UnknownFieldError, "'learning_rate'.*If that is a hyperparameter, give it inside"),
        ({"sufix": "x"}, UnknownFieldError, r"Did you mean 'suffix'\?$"),
        ({"dry": True}, UnknownFieldError, r"^'dry' is no field .*\. All fields: docs/api\.md.* --help\.$"),
        (
            {"hyperparameters": {"nope": 1}},
            UnknownFieldError,
            r"^'nope' is no .*'lora'\. All are listed in .* --help\.$",
        ),
        ({"config": {"base_modle": "m"}}, UnknownFieldError, "Did you mean 'base_model'.* Fields of the job are given"),
        (
            {"hyperparameters": {"lora": {"rank": 8, "epochs": 2, "x": 1}}},
            UnknownFieldError,
            "give lora_rank, epochs be",
        ),
        ({"hyperparameters": {"suffix": "x"}}, UnknownFieldError, "It is a field of the job: give it beside"),
        ({"config": {"dataset": "x"}}, UnknownFieldError, "It is a field of the job: give it beside"),
        ({"hyperparameters": {"lora_rnk": 8}}, UnknownFieldError, "'lora_rank'"),
        ({"hyperparameters": {"quantization_bits": 4}}, UnknownFieldError, "'lora'. It belongs to qlora; leave it out"),
        ({"tuning_method": "full", "config": {"quantization_bits": 8}}, UnknownFieldError, "belongs to qlora"),
        ({"tuning_method": "qlora", "config": {"quantization_bits": 5}}, OutOfRangeError, "is 5; allowed are: 4, 8"),
        ({"tuning_method": "qlora", "config": {"lora_bias": "all"}}, OutOfRangeError, "is 'all'; allowed are: none"),
        ({"merge": True}, UnknownFieldError, "not offered by this version"),
        ({"config": {"lora_rnk": 8}}, UnknownFieldError, "'lora_rank'"),
        ({"tuning_method": "full", "hyperparameters": {"lora_rank": 8}}, UnknownFieldError, "'full'"),
        (
            {"tuning_method": "prefix_tuning"},
            OutOfRangeError,
            "full, lora, qlora. prefix_tuning and prompt_tuning come later.",
        ),
        (
            {"tuning_method": "prefix"},
            OutOfRangeError,
            "is 'prefix'; this version trains: full, lora, qlora. prefix_tuning and",
        ),
        ({"hyperparameters": {"epochs": 2.5}}, InvalidRequestError, "whole number"),
        (
            {"hyperparameters": {"epochs": 10**400}},
            OutOfRangeError,
            "epochs is a number above 1e308; it must be from 1 to 10",
        ),
        (
            {"hyperparameters": {"epochs": "9" * 100_000}},
            OutOfRangeError,
            r"^epochs is '9{199}…; it must be from 1 to 10\.$",
        ),
        ({"hyperparameters": {"epochs": float("inf")}}, OutOfRangeError, "epochs is a number above 1e308; it must be"),
        ({"hyperparameters": {"optimizer": "x" * 4096}}, OutOfRangeError, "optimizer is 'x{199}…; allowed are"),
        ({"hyperparameters": {"promote_if": "x" * 4096}}, InvalidRequestError, "promote_if is 'x{199}…; it must be"),
        ({"hyperparameters": {"x" * 4096: 1}}, UnknownFieldError, "^'x{199}… is no hyperparameter"),
        ({"x" * 4096: 1}, UnknownFieldError, "^'x{199}… is no field"),
        ({"hyperparameters": {"epochs": True}}, InvalidRequestError, "epochs is true; it must be a number"),
        ({"hyperparameters": {"learning_rate": -(10**400)}}, OutOfRangeError, "learning_rate is a number below -1e308"),
        ({"hyperparameters": {"learning_rate_multiplier": 10**400}}, OutOfRangeError, "learning_rate"),
        ({"hyperparameters": {"epochs": "three"}}, InvalidRequestError, "number"),
        ({"hyperparameters": {"epochs": True}}, InvalidRequestError, "number"),
        ({"hyperparameters": {"epochs": [3]}}, InvalidRequestError, "number"),
        ({"hyperparameters": {"epoks": None}}, UnknownFieldError, "'epochs'"),
        ({"hyperparameters": {"target_modules": []}}, InvalidRequestError, "names no layer"),
        ({"config": {"target_modules": ""}}, InvalidRequestError, "names no layer"),
        ({"hyperparameters": {"learning_rate": float("nan")}}, OutOfRangeError, "learning_rate"),
        ({"hyperparameters": {"lr_scheduler": "step"}}, OutOfRangeError, "linear, cosine, constant"),
        ({"hyperparameters": {"target_modules": 3}}, InvalidRequestError, "target_modules"),
        ({"hyperparameters": {"group_by_length": "perhaps"}}, InvalidRequestError, "group_by_length"),
        ({"hyperparameters": {"warmup_steps": 3, "warmup_ratio": 0.1}}, InvalidRequestError, "not both"),
        ({"hyperparameters": {"learning_rate": 1e-4, "learning_rate_multiplier": 2}}, InvalidRequestError, "not both"),
        (
            {"hyperparameters": {"learning_rate_multiplier": 1000}},
            OutOfRangeError,
            "learning_rate_multiplier is 1000, times the method's learning_rate 5e-05; it must be from 0.02 to 20.",
        ),
        ({"hyperparameters": {"n_epochs": 50}}, OutOfRangeError, "n_epochs is 50"),
        ({"config": {"lr": 1}}, OutOfRangeError, "lr is 1;"),
        ({"hyperparameters": {"learning_rate_multiplier": "x"}}, InvalidRequestError, "must be a number"),
        ({"hyperparameters": {"learning_rate_multiplier": -1}}, OutOfRangeError, "above 0"),
        (
            {"hyperparameters": {"epochs": 2}, "method": {"supervised": {"hyperparameters": {"n_epochs": 3}}}},
            InvalidRequestError,
            "not in both",
        ),
        ({"method": {"type": "dpo"}}, InvalidRequestError, "supervised"),
        ({"method": {"supervised": "x"}}, InvalidRequestError, "method"),
        ({"dataset": "other"}, InvalidRequestError, "same field"),
        ({"suffix": "x" * 65}, InvalidRequestError, "suffix"),
        ({"output_model": ".."}, InvalidRequestError, "output_model"),
        ({"output_model": "a/b"}, InvalidRequestError, "output_model"),
        ({"seed": -1}, InvalidRequestError, "seed"),
        ({"metadata": {"a": 1}}, InvalidRequestError, "metadata"),
    ],
)
def test_bad_requests_are_named(fields: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words.replace("(", r"\(")) as caught:
        resolve(**fields)
    assert isinstance(caught.value, InvalidRequestError)


def test_fields_of_a_job_are_proposed_only_where_they_may_stand() -> None:
    with pytest.raises(UnknownFieldError) as caught:
        resolve(hyperparameters={"base_modle": "m"})
    assert "'base_model'" not in caught.value.message


def test_all_faults_of_hyperparameters_are_told_at_once() -> None:
    with pytest.raises(OutOfRangeError) as caught:
        resolve(hyperparameters={"epochs": 1000, "lora_rank": 4096, "lora_rnk": 3})
    assert caught.value.param == "hyperparameters.epochs"
    said = caught.value.message
    assert "epochs is 1000" in said and "lora_rank is 4096" in said and "Did you mean 'lora_rank'" in said


def test_missing_field_names_both_spellings() -> None:
    with pytest.raises(InvalidRequestError, match="'training_file' \\(or 'dataset'\\) is required"):
        parse_request({"model": "m"})


def test_task_comes_from_the_architecture() -> None:
    assert resolve_task(parse_request(BODY), "LlamaForCausalLM") == "causal_lm"
    for architecture in ("BertModel", "BertForMaskedLM", "RobertaForMaskedLM", "DistilBertForSequenceClassification"):
        assert resolve_task(parse_request(BODY), architecture) == "sequence_classification"


def test_task_may_be_asked_for_where_the_architecture_allows_it() -> None:
    asked = BODY | {"task": "sequence_classification"}
    assert resolve_task(parse_request(asked), "LlamaForCausalLM") == "sequence_classification"
    in_file = BODY | {"config": {"task": "sequence_classification"}}
    assert resolve_task(parse_request(in_file), "LlamaForCausalLM") == "sequence_classification"
    with pytest.raises(OutOfRangeError, match=r"'sequence_classification'.*take a base model of.*LlamaForCausalLM"):
        resolve_task(parse_request(BODY | {"task": "causal_lm"}), "BertForMaskedLM")
    with pytest.raises(UnsupportedModelError, match=r"T5ForConditionalGeneration.*LlamaForCausalLM.*BertForMaskedLM"):
        resolve_task(parse_request(BODY), "T5ForConditionalGeneration")
    with pytest.raises(OutOfRangeError, match="seq2seq_lm"):
        resolve_task(parse_request(BODY | {"task": "seq2seq_lm"}), "LlamaForCausalLM")


def test_size_limit_is_fifteen_billion() -> None:
    check_parameter_count("m", 15_000_000_000)
    with pytest.raises(ModelTooLargeError, match=r"70\.0B.*15B"):
        check_parameter_count("m", 70_000_000_000)


@pytest.mark.parametrize("method", METHODS_TODAY)
def test_hyperparameters_stay_what_they_are_when_resolved_twice(method: str) -> None:
    values, _ = resolve_hyperparameters(method, [("request", {"epochs": 4})])
    again, _ = resolve_hyperparameters(method, [("request", values.model_dump())])
    assert again == values


def test_method_defaults_to_lora_and_may_come_from_the_file() -> None:
    assert resolve_method(parse_request(BODY))[0] == "lora"
    assert resolve_method(parse_request(BODY | {"config": {"tuning_method": "full"}}))[0] == "full"


def test_specification_stored_by_an_older_version_is_read() -> None:
    _, values, _ = resolve(hyperparameters={"epochs": 2})
    newer = {"optimizer", "attention", "engine", "packing", "deterministic", "max_skipped_steps", "promote_if"}
    stored = {key: value for key, value in values.model_dump().items() if key not in newer}
    assert Hyperparameters.model_validate(stored) == values


def test_where_the_method_comes_from_is_told() -> None:
    for body, source in (
        ({}, "default"),
        ({"tuning_method": "full"}, "request"),
        ({"config": {"tuning_method": "full"}}, "file"),
    ):
        _, _, sources = resolve_request(parse_request({"model": "tiny", "training_file": "a.jsonl"} | body))
        assert sources["tuning_method"] == source


@pytest.mark.parametrize(
    ("name", "reduced"),
    [
        ("mío", "mio"),
        ("mi\u0301o", "mio"),
        ("Größe ½", "Gro-e-1-2"),
        ("my suffix", "my-suffix"),
        ("模型", "model"),
        ("a/b", "a-b"),
        ("ñ" * 100, "n" * 64),
    ],
)
def test_names_keep_the_letters_below_accents(name: str, reduced: str) -> None:
    assert slug(name) == reduced
