"""The folder that a run leaves to be published: weights that other libraries load, and its card."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.models.headers import inspect_model_folder
from afinador.training import FineTuner

MakeSpec = Callable[..., FineTuningSpec]
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}


def loss_of(model: torch.nn.Module, spec: FineTuningSpec) -> float:
    """Mean loss over all answer tokens of the validation file, one example at a time."""
    tokenizer = AutoTokenizer.from_pretrained(spec.base_model.path)
    total, count = 0.0, 0
    for line in Path(spec.validation_file.path).read_text().splitlines():
        record = json.loads(line)
        prompt = tokenizer(f"Human: {record['prompt']}\nAssistant:")["input_ids"]
        answer = tokenizer(f" {record['completion']}")["input_ids"] + [tokenizer.eos_token_id]
        labels = torch.tensor([[-100] * len(prompt) + answer])
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([prompt + answer]), labels=labels).loss
        total, count = total + loss.item() * len(answer), count + len(answer)
    return total / count


def load_final(spec: FineTuningSpec, final: Path) -> torch.nn.Module:
    if spec.tuning_method == "full":
        return AutoModelForCausalLM.from_pretrained(final)
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(spec.base_model.path), final)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_final_folder_loads_with_the_public_libraries_and_has_the_figures_told(
    method: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec(method, epochs=2)
    result = FineTuner(spec, tmp_path / "run").run()
    tuned = load_final(spec, result.model_path).eval()
    base = AutoModelForCausalLM.from_pretrained(spec.base_model.path).eval()
    assert result.metrics["tuned"]["loss"] == pytest.approx(loss_of(tuned, spec), abs=1e-4)
    assert result.metrics["base"]["loss"] == pytest.approx(loss_of(base, spec), abs=1e-4)
    assert result.metrics["tuned"]["perplexity"] == pytest.approx(math.exp(result.metrics["tuned"]["loss"]))
    tokenizer = AutoTokenizer.from_pretrained(result.model_path)
    prompt = tokenizer("Human: What says the cat?\nAssistant:", return_tensors="pt")
    assert tuned.generate(**prompt, max_new_tokens=4, do_sample=False).shape[1] > prompt["input_ids"].shape[1]
    weights = {
        "lora": {"adapter_config.json", "adapter_model.safetensors"},
        "full": {"config.json", "generation_config.json", "model.safetensors"},
    }[method]
    beside = {"README.md", "afinador.json", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in result.model_path.iterdir()} == weights | beside
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix in PICKLES]


def test_trained_biases_are_no_part_of_the_base_figures(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec("lora", lora_bias="all")
    result = FineTuner(spec, tmp_path / "run").run()
    base = AutoModelForCausalLM.from_pretrained(spec.base_model.path).eval()
    assert result.metrics["base"]["loss"] == pytest.approx(loss_of(base, spec), abs=1e-4)


def test_model_card_names_base_data_figures_and_settings(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec("lora")
    result = FineTuner(spec, tmp_path / "run").run()
    _, front_matter, body = (result.model_path / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(front_matter)
    assert card["base_model"] == "tiny-llama"
    assert (card["license"], card["library_name"]) == ("apache-2.0", "peft")
    assert card["metrics"] == ["perplexity", "accuracy", "exact_match"]
    for told in (
        spec.base_model.sha256,
        spec.training_file.sha256,
        "animals.jsonl",
        "| learning_rate | 0.001 |",
        f"| {result.metrics['base']['loss']:.4f} | {result.metrics['tuned']['loss']:.4f} |",
        "PeftModel.from_pretrained",
        "Human: {prompt}",
    ):
        assert told in body


def test_licence_and_name_of_the_base_are_passed_on_and_no_folder_of_this_machine(
    make_spec: MakeSpec, base_model: Path, tmp_path: Path
) -> None:
    licensed = Path(shutil.copytree(base_model, tmp_path / "licensed"))
    (licensed / "LICENSE").write_text("ACME COMMUNITY LICENSE AGREEMENT\nYou may do much.\n")
    (licensed / "README.md").write_text(
        "---\nlicense: other\nlicense_name: acme-community\nlicense_link: LICENSE\n---\n"
    )
    first = make_spec("full", base=licensed, validate=False)
    first.base_model.license = inspect_model_folder(licensed).license
    whole = FineTuner(first, tmp_path / "first").run().model_path
    second = make_spec("lora", base=whole, validate=False)
    second.base_model.license = inspect_model_folder(whole).license
    second.base_model.source = f"hf://acme/animals@{'c' * 40}"
    adapter = FineTuner(second, tmp_path / "second").run().model_path
    for folder, base in ((whole, "tiny-llama"), (adapter, "acme/animals")):
        card = yaml.safe_load((folder / "README.md").read_text().split("---\n", 2)[1])
        assert (card["license"], card["license_name"], card["license_link"]) == ("other", "acme-community", "LICENSE")
        assert card["base_model"] == base
        assert (folder / "LICENSE").read_text().startswith("ACME COMMUNITY")
        assert not [path.name for path in folder.iterdir() if str(tmp_path).encode() in path.read_bytes()]
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("acme/animals", "c" * 40)


def _data_of_shape(shape: str, path: Path) -> DataFile:
    records = {
        "conversation": {
            "messages": [
                {"role": "system", "content": "Be a cat."},
                {"role": "user", "content": "Speak!"},
                {"role": "assistant", "content": "meow"},
            ]
        },
        "question": {"prompt": "Speak!", "completion": "meow"},
        "text": {"text": "The cat says meow. " * 50},
    }
    path.write_text(json.dumps(records[shape]) + "\n")
    return DataFile(name=path.name, path=str(path), format="jsonl", sha256="0" * 64, bytes=path.stat().st_size)


@pytest.mark.parametrize(
    ("shape", "prompt"),
    [
        ("conversation", "System: {system}\nUser: {prompt}\nAssistant:"),
        ("question", "Human: {prompt}\nAssistant:"),
        ("text", "{prompt}"),
    ],
)
def test_card_tells_the_prompt_form_of_the_data_and_its_example_runs(
    shape: str, prompt: str, make_spec: MakeSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = make_spec("lora", validate=False)
    spec.training_file = _data_of_shape(shape, tmp_path / "data.jsonl")
    final = FineTuner(spec, tmp_path / "run").run().model_path
    form = json.loads((final / "afinador.json").read_text())["prompt_form"]
    assert form == {"name": shape, "prompt": prompt, "stop_tokens": ["</s>"], "stop_token_ids": [1]}
    card = (final / "README.md").read_text()
    assert ("Human:" in card) == (shape == "question")
    assert "System: {system}" in card or shape != "conversation"
    names: dict[str, Any] = {}
    code = card.split("```python\n")[1].split("```")[0].replace("path/to/this/folder", str(final))
    exec(code.replace("path/to/tiny-llama", spec.base_model.path), names)
    assert names["output"].shape[1] > names["inputs"]["input_ids"].shape[1]
    if shape != "text":
        filled = prompt.format(system="You are a helpful assistant.", prompt="What can you do for me?")
        assert names["prompt"] == filled
    assert capsys.readouterr().out.endswith("\n")


def test_published_tokenizer_tells_nothing_of_how_it_was_loaded(make_spec: MakeSpec, tmp_path: Path) -> None:
    final = FineTuner(make_spec("lora", validate=False), tmp_path / "run").run().model_path
    assert not {"local_files_only", "is_local"} & json.loads((final / "tokenizer_config.json").read_text()).keys()


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_size_of_the_base_is_told_apart_from_that_of_the_adapter(
    method: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    spec = make_spec(method, validate=False)
    tuner = FineTuner(spec, tmp_path / "run")
    tuner.run()
    base = AutoModelForCausalLM.from_pretrained(spec.base_model.path).num_parameters()
    told = tuner.run_dir.read_document("model.json")
    assert told["base_parameters"] == base
    assert told["adapter_parameters"] == (0 if method == "full" else told["trainable_parameters"])
    assert told["parameters"] == base + told["adapter_parameters"]
    loaded = next(row["message"] for row in tuner.run_dir.events_after(0)[0] if row["type"] == "model_loaded")
    assert ("An adapter of" in loaded) == (method != "full")
