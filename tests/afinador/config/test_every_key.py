"""Every promised key: its default, another value through each channel, a bad one, and where its effect is tested."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from afinador.cli.service import setting
from afinador.config.counterparts import COUNTERPARTS
from afinador.config.documents import read_document
from afinador.config.hyperparameters import METHODS_TODAY, Hyperparameters
from afinador.config.limits import limits_of
from afinador.config.operator import read_operator_config
from afinador.config.resolve import parse_request, resolve_request
from afinador.errors import ConfigurationError, InvalidRequestError, UnknownFieldError
from afinador.schemas.jobs import JobRequest

BODY = {"model": "m", "training_file": "t", "validation_file": "v"}
TRAINING = "tests/afinador/training"

KEYS: dict[str, tuple[Any, Any, Any, str, str | tuple[str, ...]]] = {
    # key: default, another value, a bad value, what its refusal says, the tests that fail when the code ignores it
    "epochs": (3, 2, 11, "from 1 to 10", f"{TRAINING}/test_every_key.py::test_numbers_of_steps"),
    "learning_rate": (5e-5, 1e-4, 1, "to 0.001", f"{TRAINING}/test_optimization.py::test_learning_rate_is_the_optimizer_s"),
    "batch_size": (32, 8, 257, "from 1 to 256", f"{TRAINING}/test_every_key.py::test_numbers_of_steps"),
    "micro_batch_size": (None, 4, 0, "from 1 to 256", f"{TRAINING}/test_setup.py::test_micro_batch_size_that_is_given_is_taken"),
    "lora_rank": (16, 8, 3, "from 4 to 64", "tests/afinador/methods/test_methods.py::test_lora_obeys_rank_alpha_dropout_and_layers"),
    "lora_alpha": (32, 16, 65, "from 8 to 64", "tests/afinador/methods/test_methods.py::test_lora_obeys_rank_alpha_dropout_and_layers"),
    "lora_dropout": (0.1, 0.2, 0.6, "from 0.0 to 0.5", "tests/afinador/methods/test_methods.py::test_lora_obeys_rank_alpha_dropout_and_layers"),
    "warmup_steps": (0, 10, -1, "from 0", f"{TRAINING}/test_optimization.py::test_learning_rate_is_the_optimizer_s"),
    "warmup_ratio": (0.0, 0.1, 0.6, "to 0.5", f"{TRAINING}/test_optimization.py::test_warm_up_ratio_is_a_share_of_all_steps"),
    "weight_decay": (0.0, 0.1, "much", "a number", f"{TRAINING}/test_optimization.py::test_biases_and_norms_do_not_decay"),
    "lr_scheduler": ("linear", "cosine", "step", "linear, cosine, constant", f"{TRAINING}/test_optimization.py::test_learning_rate_is_the_optimizer_s"),
    "max_grad_norm": (1.0, 0.5, 0, "from 0.01", (f"{TRAINING}/test_against_plain_transformers.py::test_engine_has_the_losses_of_plain_transformers", f"{TRAINING}/test_engines.py::test_trainer_has_the_losses_of_the_loop")),
    "gradient_checkpointing": (False, True, "perhaps", "true or false", f"{TRAINING}/test_passes.py::test_gradient_checkpointing_goes_through_each_layer_twice_and_changes_no_loss"),
    "max_length": (2048, 512, 7, "from 8", f"{TRAINING}/test_every_key.py::test_max_length_cuts_prompts"),
    "packing": (False, True, "perhaps", "true or false", f"{TRAINING}/test_passes.py::test_packing_takes_fewer_rows_and_changes_no_loss"),
    "extraction": ("prompt", "schema", "both", "prompt, schema", f"{TRAINING}/test_every_key.py::test_documents_are_asked_for_as_the_job_says"),
    "prompts": (None, {"tesis": "Los metadatos de la tesis:", "default": "Los metadatos:"}, "tesis", "an object", f"{TRAINING}/test_every_key.py::test_documents_are_asked_for_as_the_job_says"),
    "extraction_schema": (None, {"title": ""}, ["title"], "an object", f"{TRAINING}/test_every_key.py::test_documents_are_asked_for_as_the_job_says"),
    "precision": ("auto", "float32", "float64", "auto, float32, bfloat16", f"{TRAINING}/test_passes.py::test_precision_is_that_of_all_passes_on_a_cpu"),
    "optimizer": ("adamw", "adafactor", "adam", "adamw, adamw_8bit, adafactor, sgd", f"{TRAINING}/test_optimization.py::test_every_optimizer_learns"),
    "quantization_bits": (8, 4, 5, "allowed are: 4, 8", f"{TRAINING}/test_qlora.py::test_four_bits_are_nf4_with_double_quantisation_and_compute_in_the_chosen_precision"),
    "target_modules": ("all-linear", ["q_proj"], 3, "a string or an array", "tests/afinador/methods/test_methods.py::test_lora_obeys_rank_alpha_dropout_and_layers"),
    "lora_bias": ("none", "all", "some", "none, all, lora_only", "tests/afinador/methods/test_methods.py::test_lora_bias_decides_which_biases_are_trained"),
    "modules_to_save": ([], ["lm_head"], 3, "an array", "tests/afinador/methods/test_methods.py::test_modules_to_save_are_trained_whole"),
    "save_steps": (500, 100, 0, "from 1", f"{TRAINING}/test_every_key.py::test_numbers_of_steps"),
    "save_each_epoch": (False, True, 3, "true or false", f"{TRAINING}/test_exact_resume.py::test_checkpoint_may_be_kept_after_each_epoch"),
    "save_total_limit": (2, 3, 0, "from 1", (f"{TRAINING}/test_every_key.py::test_numbers_of_steps", "tests/tasks/test_following.py::test_the_storage_keeps_as_many_checkpoints_as_the_job_says")),
    "eval_steps": (None, 50, 0, "from 1", (f"{TRAINING}/test_every_key.py::test_numbers_of_steps", f"{TRAINING}/test_every_key.py::test_without_eval_steps_each_checkpoint_is_measured")),
    "logging_steps": (100, 10, 0, "from 1", f"{TRAINING}/test_every_key.py::test_numbers_of_steps"),
    "early_stopping_patience": (None, 2, 0, "from 1", f"{TRAINING}/test_early_stopping.py::test_best_checkpoint_is_what_is_published"),
    "generation_max_new_tokens": (100, 50, 0, "from 1", f"{TRAINING}/test_every_key.py::test_answers_are_no_longer_than_asked_for"),
    "engine": ("accelerate_loop", "hf_trainer", "loop", "accelerate_loop, hf_trainer", f"{TRAINING}/test_passes.py::test_engine_is_who_runs_the_steps"),
    "attention": ("auto", "eager", "flash", "auto, sdpa, eager, flash_attention_2", f"{TRAINING}/test_every_key.py::test_attention_is_the_one_asked_for"),
    "deterministic": (False, True, "perhaps", "true or false", f"{TRAINING}/test_every_key.py::test_deterministic_runs_are_equal_to_the_bit"),
    "max_attempts": (3, 2, 11, "from 1 to 10", "tests/registry/job_life/test_job_attempts.py::test_dead_attempt_gives_the_job_back_until_its_attempts_are_used_up"),
    "max_skipped_steps": (5, 0, -1, "from 0", f"{TRAINING}/test_skipped_steps.py::test_one_more_ends_the_run_at_the_last_checkpoint"),
    "orphan_timeout_seconds": (30, 60, 0, "from 1", f"{TRAINING}/test_run_dir.py::test_process_waits_for_its_flow_as_long_as_the_specification_says"),
    "promote_if": (None, "loss < champion", "better", "METRIC < STANDARD", "tests/registry/publishing/test_promotion.py::test_condition_decides_who_is_champion"),
    "output_dir": (None, "out", 3, "a string", f"{TRAINING}/test_every_key.py::test_output_dir_is_the_run_directory"),
}  # fmt: skip
"""The keys that interfaces promise, but for ``seed`` and ``learning_rate_multiplier``, which have tests below."""

FURTHER = {
    "seed": f"{TRAINING}/test_setup.py::test_another_seed_draws_another_adapter_and_another_order",
    "group_by_length": f"{TRAINING}/test_against_plain_transformers.py::test_engine_has_the_losses_of_plain_transformers",
    "logits_at_labels_only": f"{TRAINING}/test_passes.py::test_logits_at_labels_only_leaves_those_of_the_other_positions_out",
    "generation_examples": f"{TRAINING}/test_every_key.py::test_answers_are_no_longer_than_asked_for",
}
"""The field ``seed``, and keys of ours beyond the promised ones, with the tests of their effect."""


def resolve(operator: dict[str, Any] | None = None, **fields: Any) -> Any:
    return resolve_request(parse_request(BODY | fields), operator)


def resolve_with(key: str, operator: dict[str, Any] | None = None, **fields: Any) -> Any:
    """Resolve a request of a method that has the key."""
    return resolve(operator, tuning_method="qlora" if key == "quantization_bits" else "lora", **fields)


def test_no_key_is_forgotten() -> None:
    known = {key for method in METHODS_TODAY for key in limits_of(method)}
    assert known == KEYS.keys() | FURTHER.keys() - {"seed"}


@pytest.mark.parametrize("key", KEYS)
def test_default_is_the_promised_one(key: str) -> None:
    _, values, sources = resolve_with(key)
    assert getattr(values, key) == KEYS[key][0]
    assert sources[key] == "default"


@pytest.mark.parametrize("key", KEYS)
def test_value_comes_through_every_channel_and_says_so(key: str, tmp_path: Path) -> None:
    _, other, *_ = KEYS[key]
    as_yaml, as_json = tmp_path / "advanced.yaml", tmp_path / "advanced.json"
    as_yaml.write_text(yaml.safe_dump({key: other}))
    as_json.write_text(json.dumps({key: other}))
    operator_file = tmp_path / "operator.yaml"
    operator_file.write_text(yaml.safe_dump({"defaults": {key: other}}))
    operator = read_operator_config(operator_file)
    typed = dict([setting(f"{key}={json.dumps(other)}")])
    found = {
        "yaml": resolve_with(key, config=read_document(as_yaml)),
        "json": resolve_with(key, config=read_document(as_json)),
        "operator": resolve_with(key, operator),
        "set": resolve_with(key, hyperparameters=typed),
    }
    assert {name: getattr(values, key) for name, (_, values, _) in found.items()} == dict.fromkeys(found, other)
    assert [sources[key] for _, _, sources in found.values()] == ["file", "file", "operator", "request"]
    default = KEYS[key][0]
    if default is not None:
        _, values, sources = resolve_with(key, operator, config={key: other}, hyperparameters={key: default})
        assert (getattr(values, key), sources[key]) == (default, "request")


@pytest.mark.parametrize("key", KEYS)
def test_bad_value_is_refused_by_name(key: str, tmp_path: Path) -> None:
    _, _, bad, words, _ = KEYS[key]
    for place in ("hyperparameters", "config"):
        with pytest.raises(InvalidRequestError, match=key) as refusal:
            resolve_with(key, **{place: {key: bad}})
        assert words in refusal.value.message and "Input should" not in refusal.value.message
        assert refusal.value.param == f"{place}.{key}"
    operator_file = tmp_path / "operator.yaml"
    operator_file.write_text(yaml.safe_dump({"defaults": {key: bad}}))
    with pytest.raises(ConfigurationError, match=f"AFINADOR_CONFIG: .*{key}"):
        read_operator_config(operator_file)


@pytest.mark.parametrize("key", [*KEYS, *FURTHER])
def test_effect_is_tested_where_the_table_says(key: str, root: Path) -> None:
    named = FURTHER[key] if key in FURTHER else KEYS[key][4]
    for file, _, name in (each.partition("::") for each in ([named] if isinstance(named, str) else named)):
        source = (root / file).read_text()
        tests = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
        assert name in tests, (file, name)
        assert key in str(ast.get_source_segment(source, tests[name]))


@pytest.mark.parametrize(
    ("key", "nearest"), [("packin", "packing"), ("optimiser", "optimizer"), ("promote", "promote_if")]
)
def test_unknown_key_names_the_nearest(key: str, nearest: str) -> None:
    for fields in ({"hyperparameters": {key: 1}}, {"config": {key: 1}}):
        with pytest.raises(UnknownFieldError, match=f"'{nearest}'"):
            resolve(**fields)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("num_virtual_tokens", "prefix_tuning and prompt_tuning, which this version does not train"),
        ("max_target_length", "seq2seq_lm, which this version does not train"),
        ("processes", "not offered by this version"),
        ("merge", "not offered by this version"),
    ],
)
def test_what_is_still_to_come_is_refused_wherever_it_stands_and_documented_so(
    key: str, words: str, root: Path
) -> None:
    for place in ("config", "hyperparameters"):
        with pytest.raises(UnknownFieldError, match=words) as refusal:
            resolve(**{place: {key: 8}})
        assert refusal.value.param == f"{place}.{key}"
    with pytest.raises(UnknownFieldError, match=f"{key!r} is "):
        resolve(**{key: 8})
    refused = (root / "docs" / "configuration.md").read_text().partition("Refused by name today")[2].partition("\n")[0]
    not_yet = (root / "README.md").read_text().partition("| works | not yet |")[2].partition("## ")[0]
    assert f"`{key}`" in refused and f"`{key}`" in not_yet


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("gradient_accumulation_steps", "batch_size and micro_batch_size"),
        ("num_train_epochs", "Here it is epochs"),
        ("r", "Here it is lora_rank"),
        ("bf16", "Here it is precision"),
        ("schedule", "afinador create job-spec NAME FILE"),
        ("cron", "docs/schedules.md"),
    ],
)
def test_keys_of_other_tools_say_what_they_are_called_here(key: str, ours: str) -> None:
    for fields in ({"config": {key: 8}}, {"hyperparameters": {key: 8}}):
        with pytest.raises(UnknownFieldError, match=f"{key}' is no hyperparameter .*{ours}"):
            resolve(**fields)
    with pytest.raises(UnknownFieldError, match=f"{key}' is no field of a fine-tuning job. .*{ours}") as refusal:
        resolve(**{key: 8})
    assert ("inside 'hyperparameters', or in 'config'" in refusal.value.message) is (key not in ("schedule", "cron"))


@pytest.mark.parametrize("said", COUNTERPARTS.values(), ids=list(COUNTERPARTS))
def test_what_keys_of_other_tools_are_called_here_is_a_key_here(said: str) -> None:
    named = set(re.findall(r"[a-z]+(?:_[a-z]+)+", said)) | set(re.findall(r"Here it is (\w+)", said))
    assert named <= {*Hyperparameters.model_fields, *JobRequest.model_fields}


def test_seed_may_stand_in_the_config_too() -> None:
    request = parse_request(BODY | {"config": {"seed": 5}})
    assert (request.seed, resolve_request(request)[2]["seed"]) == (5, "file")
    request = parse_request(BODY | {"config": {"seed": 5}, "hyperparameters": {"seed": 7}})
    assert (request.seed, resolve_request(request)[2]["seed"]) == (7, "request")
    request = parse_request(BODY)
    assert (request.seed, resolve_request(request)[2]["seed"]) == (None, "default")
    request = parse_request(BODY | {"seed": 9, "config": {"seed": 5}})
    assert (request.seed, resolve_request(request)[2]["seed"]) == (9, "request")
    with pytest.raises(InvalidRequestError, match="seed is -1"):
        parse_request(BODY | {"config": {"seed": -1}})


def test_auto_is_the_default_and_becomes_its_number() -> None:
    operator = {"defaults": {"epochs": 2}}
    _, values, sources = resolve(
        operator,
        config={"batch_size": 8, "epochs": 5},
        hyperparameters={"batch_size": "auto", "epochs": "auto", "learning_rate_multiplier": "auto"},
    )
    assert (values.batch_size, values.epochs, values.learning_rate) == (32, 2, 5e-5)
    assert (sources["batch_size"], sources["epochs"]) == ("default", "operator")


@pytest.mark.parametrize("key", KEYS)
def test_null_says_that_a_key_is_not_given_unless_it_is_its_default(key: str) -> None:
    default, other, *_ = KEYS[key]
    _, values, sources = resolve_with(key, config={key: other}, hyperparameters={key: None})
    if default is None:
        assert (getattr(values, key), sources[key]) == (None, "request")
    else:
        assert (getattr(values, key), sources[key]) == (other, "file")


def test_numbers_may_be_texts() -> None:
    assert resolve(hyperparameters={"learning_rate": "1e-4", "epochs": "2"})[1].learning_rate == 1e-4
    assert resolve(hyperparameters={"learning_rate_multiplier": "2"})[1].learning_rate == 1e-4


def test_multiplier_is_of_the_operator_s_default() -> None:
    _, values, sources = resolve({"defaults": {"learning_rate": 1e-4}}, config={"learning_rate_multiplier": 2})
    assert (values.learning_rate, sources["learning_rate"]) == (2e-4, "file")


def test_key_given_twice_is_refused(tmp_path: Path) -> None:
    for name, text in (("a.yaml", "epochs: 2\nlora_rank: 8\nepochs: 3\n"), ("a.json", '{"epochs": 2, "epochs": 3}')):
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidRequestError, match="'epochs' is given twice"):
            read_document(tmp_path / name)
    with pytest.raises(InvalidRequestError, match="epochs and n_epochs mean the same"):
        resolve(hyperparameters={"epochs": 2, "n_epochs": 2})


def test_what_needs_a_validation_file_is_refused_without_one() -> None:
    for key, value in (("early_stopping_patience", 2), ("promote_if", "loss < 1")):
        body = {"model": "m", "training_file": "t", "config": {key: value}}
        with pytest.raises(InvalidRequestError, match=f"{key} needs a validation file"):
            resolve_request(parse_request(body))
        # As the operator's default it is for those jobs that have one.
        del body["config"]
        _, values, sources = resolve_request(parse_request(body), {"defaults": {key: value}})
        assert (getattr(values, key), sources[key]) == (None, "default")


def test_packing_is_refused_with_flash_attention() -> None:
    with pytest.raises(InvalidRequestError, match="packing goes with the attention sdpa or eager"):
        resolve(config={"packing": True, "attention": "flash_attention_2"})
