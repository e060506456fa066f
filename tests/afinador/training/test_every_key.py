"""What advanced keys change in a run, as far as no other test shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedTokenizerFast

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.extraction import extraction_of
from afinador.data.tokens.tokenizer_files import load_tokenizer
from afinador.errors import ConfigurationError, DataError, InvalidRequestError
from afinador.models.families import pretrained_model_of
from afinador.models.loading import load_causal_lm
from afinador.training import FineTuner, base_against_tuned, data_sets, setup
from afinador.training.checkpoints import complete_checkpoints
from afinador.training.job_file import spec_from_file
from afinador.training.run_dir import RunDir

MakeSpec = Callable[..., FineTuningSpec]


def run(spec: FineTuningSpec, folder: Path) -> FineTuner:
    tuner = FineTuner(spec, folder)
    tuner.run()
    return tuner


def test_numbers_of_steps(make_spec: MakeSpec, tmp_path: Path) -> None:
    # 50 examples in batches of 16 are 4 steps an epoch.
    spec = make_spec(
        epochs=2, batch_size=16, save_steps=2, save_total_limit=3, eval_steps=3, logging_steps=5, generation_examples=0
    )
    run_dir = run(spec, tmp_path / "run").run_dir
    rows = run_dir.metrics_after(0)[0]
    assert [row["step"] for row in rows if "train_loss" in row] == [1, 4, 5, 8]
    assert [row["step"] for row in rows if "valid_loss" in row] == [3, 6, 8]
    saved = [event["data"]["step"] for event in run_dir.events_after(0)[0] if event["type"] == "checkpoint"]
    assert saved == [2, 4, 6, 8]
    assert [folder.name for folder in complete_checkpoints(run_dir)] == ["step-000004", "step-000006", "step-000008"]


def test_without_eval_steps_each_checkpoint_is_measured(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(batch_size=16, save_steps=3, eval_steps=None, generation_examples=0)
    rows = run(spec, tmp_path / "run").run_dir.metrics_after(0)[0]
    assert [row["step"] for row in rows if "valid_loss" in row] == [3, 4]


def test_max_length_cuts_prompts(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(max_length=40, validate=False, batch_size=32)
    events = run(spec, tmp_path / "run").run_dir.events_after(0)[0]
    (told,) = (event for event in events if "are longer than 40 tokens" in event["message"])
    assert told["data"]["max_length"] == 40 and told["message"].endswith("Raise max_length.")
    assert "lose the start of their prompt" in told["message"]


def test_max_length_cuts_documents_at_their_end(make_spec: MakeSpec, tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_text(json.dumps({"document": "The cat meows. " * 50, "metadata": {"animal": "cat"}}) + "\n")
    spec = make_spec(max_length=60, validate=False)
    spec.training_file = DataFile(
        name=path.name, path=str(path), format="jsonl", sha256="0" * 64, bytes=path.stat().st_size
    )
    events = run(spec, tmp_path / "run").run_dir.events_after(0)[0]
    (told,) = (event["message"] for event in events if "are longer than 60 tokens" in event["message"])
    assert "1 of 1 examples" in told and "1 lose the end of their document (" in told


def test_answers_are_no_longer_than_asked_for(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(generation_max_new_tokens=2, generation_examples=3, batch_size=32)
    tuner = run(spec, tmp_path / "run")
    tokenizer = load_tokenizer(spec.base_model.path)
    answers = [sample["tuned"] for sample in tuner.run_dir.evaluation()["samples"]]
    assert len(answers) == 3
    assert max(len(tokenizer(answer, add_special_tokens=False)["input_ids"]) for answer in answers) <= 2


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, ["Extract the metadata of the following document as JSON.\n\nA thesis", "Extract the metadata"]),
        ({"prompts": {"tesis": "Tesis: {document}. ¿Metadatos?", "default": "¿Metadatos?"}},
         ["Tesis: A thesis. ¿Metadatos?", "¿Metadatos?\n\nA book"]),
        ({"extraction": "schema", "extraction_schema": {"title": "", "year": ""}},
         ['### Template:\n{\n    "title": "",\n    "year": ""\n}\n### Text:\nA thesis', '### Template:\n{\n    "name": ""\n}\n### Text:\nA book']),
    ],
)  # fmt: skip
def test_documents_are_asked_for_as_the_job_says(
    given: dict[str, Any], asked: list[str], make_spec: MakeSpec, tmp_path: Path
) -> None:
    path = tmp_path / "documents.jsonl"
    records = [
        {"document": "A thesis", "type": "tesis", "metadata": {"title": "A"}},
        {"document": "A book", "type": "libro", "schema": {"name": ""}, "metadata": {"name": "B"}},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    spec = make_spec(validate=False, **given)
    spec.training_file.path, spec.training_file.format = str(path), "jsonl"
    extraction = extraction_of(spec.hyperparameters)
    subject = setup.load_subject(spec)
    data, _ = data_sets.load_both(spec, subject, 512, RunDir(tmp_path / "run"))
    assert all((example.prompt or "").startswith(start) for example, start in zip(data.examples(), asked, strict=True))
    assert [json.loads(example.completion or "") for example in data.examples()] == [{"title": "A"}, {"name": "B"}]
    spec.sources["generation_max_new_tokens"] = "default"
    assert base_against_tuned.max_new_tokens(spec, data) == 512
    spec.sources["generation_max_new_tokens"] = "request"
    assert base_against_tuned.max_new_tokens(spec, data) == spec.hyperparameters.generation_max_new_tokens
    told = data.form.to_json()["extraction"]
    assert told == extraction.to_json() and told["mode"] == spec.hyperparameters.extraction
    assert spec.hyperparameters.extraction_schema == given.get("extraction_schema")
    if "prompts" in given:
        spec.hyperparameters.prompts = {"libro": "Libro:"}
        with pytest.raises(
            DataError, match="prompts has none for the type 'tesis', and no 'default'; there are: libro"
        ):
            data_sets.load_data(
                spec.training_file, subject.tokenizer, 512, extraction=extraction_of(spec.hyperparameters)
            )


@pytest.mark.parametrize(("attention", "found"), [("auto", "sdpa"), ("sdpa", "sdpa"), ("eager", "eager")])
def test_attention_is_the_one_asked_for(attention: str, found: str, make_spec: MakeSpec, classifying: MakeSpec) -> None:
    for spec in (make_spec(attention=attention), classifying(attention=attention)):
        subject = setup.load_subject(spec)
        assert pretrained_model_of(subject.model).config._attn_implementation == found


def test_attention_that_cannot_be_had_is_refused_with_the_reason(
    make_spec: MakeSpec, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(InvalidRequestError, match=r"attention is 'flash_attention_2', which needs a GPU"):
            setup.load_subject(make_spec(attention="flash_attention_2"))
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    Gemma2ForCausalLM(Gemma2Config(vocab_size=8, head_dim=8, num_key_value_heads=2, **sizes)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InvalidRequestError, match="attention is 'sdpa', which Gemma2ForCausalLM does not support"):
        load_causal_lm(tmp_path, precision="float32", device="cpu", attention="sdpa")


def test_deterministic_runs_are_equal_to_the_bit(make_spec: MakeSpec, tmp_path: Path) -> None:
    weights, losses = [], []
    try:
        for name in ("first", "second"):
            spec = make_spec(deterministic=True, lora_dropout=0.3, validate=False)
            tuner = run(spec, tmp_path / name)
            assert torch.are_deterministic_algorithms_enabled()
            weights.append((tuner.run_dir.final / "adapter_model.safetensors").read_bytes())
            losses.append([row["train_loss"] for row in tuner.run_dir.metrics_after(0)[0]])
    finally:
        setup.settle_determinism(False)
    assert losses[0] == losses[1]
    assert weights[0] == weights[1]


def test_a_later_run_may_be_indeterminate_again(make_spec: MakeSpec) -> None:
    setup.load_subject(make_spec(deterministic=True))
    setup.load_subject(make_spec())
    assert not torch.are_deterministic_algorithms_enabled()


def test_micro_batch_of_deterministic_runs_does_not_follow_the_free_memory(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = setup.load_subject(make_spec())
    monkeypatch.setattr(setup, "_free_bytes", lambda *_: 1e15)
    on_gpu = replace(subject, computing=setup.Computing(torch.device("cuda"), "float32"))
    sizes = [
        setup.choose_micro_batches(on_gpu, make_spec(deterministic=fixed, batch_size=256).hyperparameters, 100).examples
        for fixed in (True, False)
    ]
    assert sizes == [32, 256]


@pytest.fixture
def job_file(base_model: Path, training_file: Path, tmp_path: Path) -> Callable[..., Path]:
    def write(**fields: Any) -> Path:
        path = tmp_path / "job.yaml"
        body = {"base_model": str(base_model), "dataset": str(training_file), **fields}
        path.write_text(yaml.safe_dump(body))
        return path

    return write


def test_output_dir_is_the_run_directory(job_file: Callable[..., Path], tmp_path: Path) -> None:
    tuner = FineTuner.from_file(job_file(config={"output_dir": "kept/here", "seed": 5}))
    assert tuner.run_dir.path == tmp_path / "kept" / "here"
    assert (tuner.spec.seed, tuner.spec.sources["seed"], tuner.spec.sources["output_dir"]) == (5, "file", "file")
    assert FineTuner.from_file(tmp_path / "job.yaml", tmp_path / "other").run_dir.path == tmp_path / "other"


def test_the_operator_s_file_counts_without_a_service_too(
    job_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = tmp_path / "operator.yaml"
    monkeypatch.setenv("AFINADOR_CONFIG", str(operator))
    operator.write_text("defaults: {lora_rank: 4}\nlimits: {lora_rank: {maximum: 6}}\n")
    spec = spec_from_file(job_file(config={}))
    assert (spec.hyperparameters.lora_rank, spec.sources["lora_rank"]) == (4, "operator")
    with pytest.raises(InvalidRequestError, match="lora_rank is 8"):
        spec_from_file(job_file(config={"lora_rank": 8}))
    operator.write_text("[1")
    with pytest.raises(ConfigurationError, match="AFINADOR_CONFIG"):
        spec_from_file(job_file(config={}))


def test_job_file_without_a_hub_has_no_champion(job_file: Callable[..., Path], validation_file: Path) -> None:
    path = job_file(validation_dataset=str(validation_file), config={"promote_if": "loss < base"})
    with pytest.raises(InvalidRequestError, match="without a service there is no hub"):
        spec_from_file(path)


@pytest.mark.parametrize(
    ("field", "source", "command"),
    [
        (
            "dataset",
            "hf://acme/sums:en@v1",
            "hf download --repo-type dataset acme/sums --revision v1 --local-dir FOLDER",
        ),
        ("validation_dataset", "hf://acme/sums", "hf download --repo-type dataset acme/sums --local-dir FOLDER"),
        ("base_model", "hf://acme/tiny@v1", "hf download acme/tiny --revision v1 --local-dir FOLDER"),
    ],
)
def test_job_file_fetches_nothing_and_says_how_to(
    job_file: Callable[..., Path], field: str, source: str, command: str
) -> None:
    with pytest.raises(InvalidRequestError, match="training without a service fetches nothing") as refused:
        spec_from_file(job_file(**{field: source}))
    assert f"'{command}'" in refused.value.message and refused.value.param == field


def test_key_given_twice_in_a_job_file_is_named_with_its_line(job_file: Callable[..., Path]) -> None:
    path = job_file(config={"epochs": 2})
    path.write_text(path.read_text() + "dataset: other.jsonl\n")
    with pytest.raises(InvalidRequestError, match="'dataset' is given twice, the second time in line 5"):
        spec_from_file(path)


def test_result_tells_what_was_resolved(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(optimizer="adafactor", validate=False, batch_size=32)
    tuner = run(spec, tmp_path / "run")
    kept = json.loads((tuner.run_dir.path / "spec.json").read_text())
    assert (kept["hyperparameters"]["optimizer"], kept["sources"]["optimizer"]) == ("adafactor", "request")
    assert kept["sources"]["weight_decay"] == "default"
