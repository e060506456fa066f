"""Data of a run, from the file and from the cache."""

from __future__ import annotations

import copy
import json
import math
import shutil
import sys
from collections.abc import Callable
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from afinador.config.spec import DataFile, FineTuningSpec
from afinador.data.tokens import loading
from afinador.data.tokens.cache import TokenCache
from afinador.errors import DataError, InvalidRequestError, ModelError
from afinador.schemas.datasets import DatasetReading
from afinador.storage import sha256_of
from afinador.training import FineTuner, data_sets
from afinador.training.caching import offer_cache
from afinador.training.job_file import spec_from_fields
from afinador.training.run_dir import TIMES, RunDir
from afinador.training.setup import load_subject
from afinador.training.template_doubts import doubt_template


def test_a_run_on_cached_tokens_tokenises_nothing_and_is_the_same_to_the_bit(
    make_spec: Callable[..., FineTuningSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, folder = make_spec("lora", epochs=2, eval_steps=3), tmp_path / "cache" / "org-1"
    without, first, second = (RunDir(tmp_path / name) for name in ("without", "first", "second"))
    FineTuner(spec, without).run()
    for run in (first, second):
        offer_cache(run, folder, 10**8)
    FineTuner(spec, first).run()

    def never(*_: Any) -> None:
        raise AssertionError("nothing is tokenised in the second run")

    monkeypatch.setattr(loading, "tokenised", never)
    FineTuner(spec, second).run()
    assert measured(first) == measured(second) == measured(without)
    assert len(measured(without)) > 4
    weights = {sha256_of(run.final / "adapter_model.safetensors") for run in (without, first, second)}
    assert len(weights) == 1
    assert [told(run) for run in (without, first, second)] == [[], [False, False], [True, True]]
    said = [event["message"] for event in second.events_after(0)[0] if "nothing was tokenised" in event["message"]]
    assert said[0].startswith("animals.jsonl was tokenised before: 50 rows, ") and len(said) == 2


def test_what_was_tokenised_before_is_not_even_read(make_spec: Callable[..., FineTuningSpec], tmp_path: Path) -> None:
    spec, cache = make_spec("lora"), TokenCache(tmp_path / "cache" / "org-1", 10**8)
    subject = load_subject(spec)
    path = tmp_path / "a.jsonl"
    path.write_bytes(Path(spec.training_file.path).read_bytes())
    file = spec.training_file.model_copy(update={"path": str(path)})
    first = data_sets.load_data(file, subject.tokenizer, 40, cache=cache)
    path.unlink()
    second = data_sets.load_data(file, subject.tokenizer, 40, cache=cache)
    assert second.cached is not None and second.cached.is_hit
    assert list(first.tokenised) == list(second.tokenised)
    assert (first.summary, first.form, first.cuts) == (second.summary, second.form, second.cuts)
    with pytest.raises(FileNotFoundError):
        data_sets.load_data(file, subject.tokenizer, 41, cache=cache)


def with_added_tokens(base_model: Path, folder: Path, **added: str) -> Path:
    """Copy a model and add tokens to its tokenizer, but no embeddings to its weights."""
    shutil.copytree(base_model, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({name: token for name, token in added.items() if name.endswith("_token")})
    tokenizer.add_tokens([token for name, token in added.items() if not name.endswith("_token")])
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("task", ["causal_lm", "sequence_classification"])
def test_a_pad_token_that_the_model_was_not_enlarged_for_is_not_used(
    make_spec: Callable[..., FineTuningSpec], base_model: Path, tmp_path: Path, task: str
) -> None:
    spec = make_spec("lora", base=with_added_tokens(base_model, tmp_path / "padded", pad_token="[PAD]"), batch_size=16)
    spec.task = task  # type: ignore[assignment]
    if task == "sequence_classification":
        for file in (spec.training_file, spec.validation_file):
            assert file is not None
            rows = [{"text": "a " * n, "label": str(n % 2)} for n in range(1, 20)]
            path = tmp_path / file.name
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
            file.path, file.sha256 = str(path), sha256_of(path)
    subject = load_subject(spec)
    assert subject.tokenizer.pad_token == "</s>"
    result = FineTuner(spec, RunDir(tmp_path / "run")).run()
    assert math.isfinite(result.metrics["tuned"]["loss"])


def test_tokens_that_the_model_does_not_know_are_named(
    make_spec: Callable[..., FineTuningSpec], base_model: Path, tmp_path: Path
) -> None:
    spec = make_spec("lora", base=with_added_tokens(base_model, tmp_path / "more", word="<cat>"))
    said = r"^The tokenizer of 'tiny-llama' makes the token '<cat>' of held.jsonl, number 320, .* vocab_size 320: .* 0 to 319"
    path = tmp_path / "held.jsonl"
    path.write_text('{"prompt": "a <cat>", "completion": "purrs"}\n')
    assert spec.validation_file is not None
    spec.validation_file = spec.validation_file.model_copy(
        update={"path": str(path), "name": path.name, "sha256": sha256_of(path)}
    )
    with pytest.raises(ModelError, match=said):
        FineTuner(spec, RunDir(tmp_path / "run")).run()


def test_an_operators_loader_that_was_changed_is_asked_anew(
    make_spec: Callable[..., FineTuningSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, cache = make_spec("lora"), TokenCache(tmp_path / "cache" / "org-1", 10**8)
    subject, module = load_subject(spec), tmp_path / "changing_loader.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a.bin").write_bytes(b"1")
    reading = DatasetReading(loader="changing_loader:load")
    file = DataFile(name="a", path=str(tmp_path / "a.bin"), format="custom", sha256="0" * 64, bytes=1, reading=reading)
    hits = []
    for text in ("one", "one", "another"):
        module.write_text(f"def load(path):\n    yield {{'text': 'this is {text} text'}}\n")
        monkeypatch.delitem(sys.modules, "changing_loader", raising=False)
        invalidate_caches()
        data = data_sets.load_data(file, subject.tokenizer, 40, cache=cache)
        hits.append(data.cached is not None and data.cached.is_hit)
        assert text in subject.tokenizer.decode(data.tokenised[0].input_ids)
    assert hits == [False, True, False]


def measured(run: RunDir) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row.keys() - TIMES} for row in run.metrics_after(0)[0]]


def told(run: RunDir) -> list[bool]:
    return [event["data"]["cached"] for event in run.events_after(0)[0] if "cached" in event["data"]]


def test_a_job_file_says_how_its_data_are_read(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "asked.csv").write_text("question;answer\n2+2?;4\n3+3?;6\n")
    (tmp_path / "held.jsonl").write_text('{"q": "4+4?", "a": "8"}\n')
    fields: dict[str, Any] = {
        "base_model": str(root / "examples" / "base_model" / "model"),
        "dataset": "asked.csv",
        "reading": {"mapping": {"messages": [{"role": "user", "content": "{question}"},
                                             {"role": "assistant", "content": "{answer}"}]}},
        "validation_dataset": "held.jsonl",
        "validation_reading": {"mapping": {"prompt": "q", "completion": "a"}},
    }  # fmt: skip
    spec = spec_from_fields(fields, tmp_path, "declared")
    training, held_out = data_sets.load_both(spec, load_subject(spec), 64, RunDir(tmp_path / "run"))
    assert held_out is not None and spec.validation_file is not None
    assert (len(training.tokenised), len(held_out.tokenised)) == (2, 1)
    assert spec.validation_file.reading == DatasetReading(mapping={"prompt": "q", "completion": "a"})
    with pytest.raises(DataError, match=r"asked\.csv"):
        spec_from_fields({name: value for name, value in fields.items() if name != "reading"}, tmp_path, "undeclared")
    monkeypatch.delenv("AFINADOR_CONFIG", raising=False)
    for wrong, said in (
        ({"loader": "acme:read"}, "none is allowed"),
        ({"mappin": {}}, "mapping"),
        ({1: "csv"}, "'1' says nothing about how"),
        ("csv", "no object"),
        ([], "no object"),
        ({"text_unit": "lines"}, "text_unit is for TEXT, and 'asked.csv' is read as CSV"),
    ):
        with pytest.raises((InvalidRequestError, DataError), match=said):
            spec_from_fields({**fields, "reading": wrong}, tmp_path, "wrong")
    with pytest.raises(
        InvalidRequestError, match="validation_reading says how the validation data set is read, and there is none"
    ):
        spec_from_fields({**fields, "validation_dataset": None}, tmp_path, "wrong")


def test_what_the_chat_template_leaves_out_is_a_warning_of_the_run(
    make_spec: Callable[..., FineTuningSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afinador.training.template_doubts.EXAMPLES_LOOKED_AT", 20)
    spec, run = make_spec("lora"), RunDir(tmp_path / "run")
    tokenizer = copy.deepcopy(load_subject(spec).tokenizer)
    for content, wanted in (("m.content | upper", ["user", "assistant"]), ("m.content", [])):
        tokenizer.chat_template = "{% for m in messages %}{{ " + content + " }}{{ eos_token }}{% endfor %}"
        _, before = run.events_after(0)
        doubt_template(data_sets.load_data(spec.training_file, tokenizer, 200), tokenizer, run)
        warnings = [event for event in run.events_after(before)[0] if event["level"] == "warn"]
        assert [event["data"]["code"] for event in warnings] == [f"template_leaves_out_{role}" for role in wanted]
        assert all(
            event["message"].startswith("20 of the first 20 records of animals.jsonl, at first that at line 1: the ")
            for event in warnings
        )


def two_splits(folder: Path) -> Path:
    folder.mkdir()
    for split, first, count in (("train", 0, 12), ("test", 100, 3)):
        rows = [{"q": f"{number} + 1?", "a": str(number + 1)} for number in range(first, first + count)]
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def test_one_split_of_a_folder_is_learnt_and_another_held_out(root: Path, tmp_path: Path) -> None:
    folder = two_splits(tmp_path / "sums")
    fields: dict[str, Any] = {
        "base_model": str(root / "examples" / "base_model" / "model"),
        "dataset": "sums",
        "reading": {"mapping": {"prompt": "q", "completion": "a"}},
        "validation_reading": {"split": "test"},
    }
    spec = spec_from_fields(fields, tmp_path, "splits")
    training, held_out = data_sets.load_both(spec, load_subject(spec), 64, RunDir(tmp_path / "run"))
    assert held_out is not None and spec.validation_file is not None
    assert (len(training.tokenised), len(held_out.tokenised)) == (12, 3)
    assert spec.validation_file.reading == DatasetReading(mapping={"prompt": "q", "completion": "a"}, split="test")
    assert spec.training_file.sha256 == spec.validation_file.sha256
    (folder / "test.jsonl").write_text('{"q": "0?", "a": "1"}\n')
    changed = spec_from_fields(fields, tmp_path, "splits")
    assert changed.training_file.sha256 != spec.training_file.sha256
    assert changed.training_file.bytes == sum(file.stat().st_size for file in folder.iterdir())
