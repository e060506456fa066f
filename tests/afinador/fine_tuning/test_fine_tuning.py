"""Jobs on this machine without a service: the published example as it stands, and what is refused."""

from __future__ import annotations

import ast
import asyncio
import csv
import gzip
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from afinador.config.spec import FineTuningSpec
from afinador.errors import (
    AfinadorError,
    DataError,
    IllegalTransitionError,
    InvalidRequestError,
    NotFoundError,
    OutOfRangeError,
    WaitTimeoutError,
)
from afinador.fine_tuning import DatasetFormat, FineTuningConfig, get_model_fine_tuner
from afinador.fine_tuning.base_models import LocalModels
from afinador.settings import read_settings

EXAMPLE = """
# Get the model fine-tuner
from afinador.fine_tuning import get_model_fine_tuner, FineTuningConfig, FineTuningMethod, DatasetFormat

fine_tuner = get_model_fine_tuner()

# Prepare a dataset
prepared_dataset = await fine_tuner.prepare_dataset(
    dataset_path="data/raw_dataset.csv",
    dataset_format=DatasetFormat.CSV,
    output_format=DatasetFormat.JSONL,
    preprocessing_steps=[
        {"type": "filter", "condition": "length > 10"},
        {"type": "transform", "operation": "lowercase"}
    ]
)

# Create a fine-tuning configuration
config = FineTuningConfig(
    model_id="llama-7b",
    method=FineTuningMethod.LORA,
    dataset_path=prepared_dataset,
    dataset_format=DatasetFormat.JSONL,
    output_dir="models/fine_tuned",
    epochs=3,
    batch_size=8,
    learning_rate=2e-5,
    lora_rank=8,
    lora_alpha=16
)

# Create and start a fine-tuning job
job_id = await fine_tuner.create_fine_tuning_job(config)

# Monitor job progress
job = await fine_tuner.get_fine_tuning_job(job_id)
print(f"Job status: {job.status}")

# Register the fine-tuned model when complete
if job.status == "completed":
    model_id = await fine_tuner.register_fine_tuned_model(job_id)
    print(f"Registered fine-tuned model: {model_id}")
"""
"""The usage example of the specification, with nothing changed but what it imports from."""

WHEN_COMPLETE = "# Register the fine-tuned model when complete"


async def run_lines(lines: str, names: dict[str, Any]) -> None:
    """Run lines that await at their top level."""
    running = eval(compile(lines, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if isinstance(running, Coroutine):
        await running


def test_the_example_runs_with_only_its_import_changed(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    until_started, _, when_complete = EXAMPLE.partition(WHEN_COMPLETE)

    async def example() -> tuple[dict[str, Any], str, dict[str, Any]]:
        names: dict[str, Any] = {}
        await run_lines(until_started, names)
        with pytest.raises(IllegalTransitionError, match=r"is (pending|running)"):
            await names["fine_tuner"].register_fine_tuned_model(names["job_id"])
        other = get_model_fine_tuner()
        names["job"] = await other.wait_for_fine_tuning_job(names["job_id"], timeout_seconds=200)
        assert names["job"].status == "completed", names["job"].error
        await run_lines(when_complete, names)
        again = await other.register_fine_tuned_model(names["job_id"])
        assert [job.id for job in await other.list_fine_tuning_jobs()] == [names["job_id"]]
        return names, again, await other.get_registered_model(again)

    names, again, registered = asyncio.run(example())
    said = capsys.readouterr().out
    assert "Job status: pending\n" in said or "Job status: running\n" in said
    assert f"Registered fine-tuned model: {names['model_id']}\n" in said and again == names["model_id"]

    prepared = [json.loads(line) for line in Path("data/raw_dataset-prepared.jsonl").read_text().splitlines()]
    assert prepared == [{"text": f"order number {n}", "label": f"Item {n}"} for n in range(20)]
    path = names["job"].model_path
    assert path.is_relative_to(work / "models" / "fine_tuned")
    adapter = json.loads((path / "adapter_config.json").read_text())
    assert (adapter["r"], adapter["lora_alpha"]) == (8, 16)
    assert (registered["path"], registered["base_model"], registered["method"]) == (str(path), "llama-7b", "lora")
    assert registered["parameters"]["learning_rate"] == 2e-5
    assert names["job"].progress["steps"] == 9  # 3 epochs of 20 records in batches of 8


def test_the_example_of_the_documentation_runs(work: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = re.findall(r"```python\n(.*?)```", (root / "docs" / "python.md").read_text(), re.DOTALL)[2]
    (work.parent / "roots" / "tiny").symlink_to(work.parent / "roots" / "llama-7b")
    shutil.copy("data/raw_dataset.csv", "raw.csv")
    exec(compile(example, "docs/python.md", "exec"), {"__name__": "example"})
    assert len(Path("raw-prepared.jsonl").read_text().splitlines()) == 20
    model_id, model_path = capsys.readouterr().out.split()
    assert model_id.startswith("tiny-") and (Path(model_path) / "adapter_config.json").is_file()


def test_a_job_is_cancelled_and_one_that_was_killed_has_failed(work: Path) -> None:
    async def run() -> None:
        fine_tuner = get_model_fine_tuner()
        config = FineTuningConfig("llama-7b", "data/raw_dataset.csv", "out", dataset_format=DatasetFormat.CSV)
        killed = await fine_tuner.create_fine_tuning_job(config)
        record = json.loads((work.parent / "home" / "fine_tuning" / "jobs" / f"{killed}.json").read_text())
        os.kill(int(record["process"].partition(":")[0]), signal.SIGKILL)
        job = await fine_tuner.wait_for_fine_tuning_job(killed, timeout_seconds=20)
        assert job.status == "failed" and "log.txt" in (job.error or "")
        with pytest.raises(IllegalTransitionError, match="failed"):
            await fine_tuner.register_fine_tuned_model(killed)
        cancelled = await fine_tuner.create_fine_tuning_job(config)
        await fine_tuner.cancel_fine_tuning_job(cancelled)
        with pytest.raises(WaitTimeoutError, match="goes on"):
            await fine_tuner.wait_for_fine_tuning_job(cancelled, timeout_seconds=0)
        assert (await fine_tuner.wait_for_fine_tuning_job(cancelled, timeout_seconds=100)).status == "cancelled"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"model_id": "llama-7c"}, NotFoundError, "AFINADOR_MODEL_ROOTS.*Did you mean 'llama-7b'"),
        ({"model_id": "../roots/nothing"}, NotFoundError, "no folder with a config.json"),
        ({"method": "lora2"}, InvalidRequestError, "full, lora, qlora"),
        ({"method": "full", "lora_rank": 8}, InvalidRequestError, "lora_rank"),
        ({"epochs": 30}, OutOfRangeError, "from 1 to 10"),
        ({"hyperparameters": {"warmup": 3}}, InvalidRequestError, "warmup_steps"),
        ({"dataset_format": "jsonl"}, InvalidRequestError, "dataset_format is jsonl.* is csv"),
        ({"dataset_format": "parquet"}, InvalidRequestError, "jsonl, csv, json, text"),
        ({"dataset_format": DatasetFormat.HUGGINGFACE}, InvalidRequestError, "prepare it first"),
        ({"dataset_path": "data/none.csv"}, NotFoundError, "^dataset_path is 'data/none.csv', but there is no "),
        (
            {"dataset_path": "hf://acme/orders"},
            InvalidRequestError,
            "^dataset_path is 'hf://acme/orders'; training without",
        ),
        ({"validation_dataset_path": "none.csv"}, NotFoundError, "^validation_dataset_path is 'none.csv', but"),
    ],
)
def test_a_job_that_cannot_be_is_refused_before_it_starts(
    work: Path, given: dict[str, Any], kind: type[AfinadorError], said: str
) -> None:
    usual = {
        "model_id": "llama-7b",
        "dataset_path": "data/raw_dataset.csv",
        "output_dir": "out",
        "dataset_format": "csv",
    }
    with pytest.raises(kind, match=said):
        asyncio.run(get_model_fine_tuner().create_fine_tuning_job(FineTuningConfig(**{**usual, **given})))
    assert not Path("out").exists()


def test_a_job_and_what_it_makes_are_named_after_the_model_that_was_given(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs: list[FineTuningSpec] = []
    monkeypatch.setattr("afinador.fine_tuning.jobs.LocalJobs.start", lambda *given: specs.append(given[2]))
    roots = work.parent / "roots"
    shutil.copytree(roots / "llama-7b", work / "out" / "ftjob-1" / "final")
    (roots / "by-link").symlink_to(work / "out" / "ftjob-1" / "final")
    (work / "elsewhere").symlink_to(roots / "llama-7b")
    whole = "llama-7b-" + "0" * 60
    models = LocalModels(read_settings(), work.parent / "home" / "fine_tuning" / "models")
    models.register(whole, {"kind": "model", "path": str(work / "out" / "ftjob-1" / "final")})
    given = {
        "llama-7b": "llama-7b",
        "by-link": "by-link",
        whole: whole,
        "out/ftjob-1/final": whole,
        "elsewhere": "elsewhere",
    }
    for model_id in given:
        config = FineTuningConfig(model_id, "data/raw_dataset.csv", "out", dataset_format=DatasetFormat.CSV)
        job_id = asyncio.run(get_model_fine_tuner().create_fine_tuning_job(config))
        assert specs[-1].output.name == f"{given[model_id][:48]}-{job_id.removeprefix('ftjob-')}"
    assert [spec.base_model.name for spec in specs] == list(given.values())


def test_models_are_found_by_folder_alias_and_id(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = work.parent / "roots" / "llama-7b"
    (work / "operator.yaml").write_text("model_aliases: {base: llama-7b}")
    monkeypatch.setenv("AFINADOR_CONFIG", str(work / "operator.yaml"))
    models = LocalModels(read_settings(), work / "models")
    models.register("whole", {"kind": "model", "path": str(folder)})
    models.register("part", {"kind": "adapter", "path": "x", "base_model": "llama-7b"})
    models.register("whole", {"kind": "adapter", "path": "never", "base_model": "written"})
    for name in ("llama-7b", "base", "whole", str(folder), "../roots/llama-7b"):
        assert models.folder_of(name) == folder
    with pytest.raises(InvalidRequestError, match="adapter of 'llama-7b'"):
        models.folder_of("part")
    (work / "operator.yaml").write_text("model_aliases: {base: llama-8b}")
    with pytest.raises(NotFoundError, match=r"^'base' is an alias .*no model 'llama-8b'.*Did you mean 'llama-7b'\?$"):
        models.folder_of("base")


Prepare = Callable[..., str]


def test_formats_are_converted_to_and_fro(prepare: Prepare) -> None:
    as_json = prepare("data/raw_dataset.csv", "csv", "json")
    back = prepare(as_json, DatasetFormat.JSON, DatasetFormat.CSV, output_path="data/again.csv")
    with Path("data/raw_dataset.csv").open() as first, Path(back).open() as second:
        assert list(csv.reader(first)) == list(csv.reader(second))
    with pytest.raises(InvalidRequestError, match=r"again\.csv\.lineage\.json exist already"):
        prepare(as_json, DatasetFormat.JSON, DatasetFormat.TEXT, output_path="data/again.csv")
    assert prepare(as_json, "json", "csv", output_path="data/again.csv", overwrite=True) == back
    lineage = json.loads(Path(f"{back}.lineage.json").read_text())
    assert (lineage["source"], lineage["files"][0]["path"]) == (Path(as_json).name, str(Path(back)))
    packed = prepare(back, "csv", "json", output_path="data/packed.json.gz")
    assert gzip.decompress(Path(packed).read_bytes()) == Path(as_json).read_bytes()
    again = prepare(packed, "json", "csv")
    assert again.endswith("packed-prepared.csv.gz")
    assert gzip.decompress(Path(again).read_bytes()) == Path(back).read_bytes()
    shorter = [{"type": "rename", "fields": {"text": "a"}}]
    with pytest.raises(DataError, match="'text' alone"):
        prepare("data/raw_dataset.csv", "csv", "text", shorter)


def test_a_format_of_ones_own_has_a_loader_of_ones_own(prepare: Prepare) -> None:
    Path("data/pairs.dat").write_text("a=b\nc=d\n")
    with pytest.raises(InvalidRequestError, match="loader=FUNCTION"):
        prepare("data/pairs.dat", DatasetFormat.CUSTOM)

    def load(path: Path) -> list[dict[str, str]]:
        return [dict(zip(("text", "label"), line.split("="), strict=True)) for line in path.read_text().splitlines()]

    made = prepare("data/pairs.dat", DatasetFormat.CUSTOM, loader=load)
    assert Path(made).read_text() == '{"text": "a", "label": "b"}\n{"text": "c", "label": "d"}\n'


def _fails_late(path: Path) -> Any:
    yield {"text": "a"}
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("loader", "said"),
    [
        (_fails_late, "_fails_late failed after record 1: RuntimeError: 'boom'"),
        (lambda path: None, "gave null, but must give dictionaries"),
        (lambda path: "text", "gave a text of 4 characters, but"),
        (lambda path: ["text"], "Record 1 of the loader is a text of 4 characters, but must be a dictionary"),
        (lambda path: [{"text": "a"}, {1: 2}], "Record 2 of the loader holds .* a key that is no text"),
        (lambda path: [{"text": "a", "of": [{1: 2}]}], "Record 1 of the loader holds .* a key that is no text"),
        (lambda: [], "failed after record 0: TypeError"),
        (5, "loader is 5, but must be a function"),
    ],
)
def test_what_a_loader_does_wrong_is_said(prepare: Prepare, loader: Any, said: str) -> None:
    with pytest.raises(AfinadorError, match=said):
        prepare("data/raw_dataset.csv", DatasetFormat.CUSTOM, loader=loader)
    assert [path.name for path in Path("data").iterdir()] == ["raw_dataset.csv"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("data/none.csv", "csv"), "no file"),
        ((None, "csv"), "dataset_path is None; it must be the path"),
        (("", "csv"), "dataset_path is ''; it must be the path"),
        (("a\0", "csv"), "dataset_path is 'a.x00'; it must be the path"),
        (("data/raw_dataset.csv", "xml"), "dataset_format is 'xml'"),
        (("data/raw_dataset.csv", "csv", "huggingface"), "which is not written"),
        (("data/raw_dataset.csv", "csv", "jsonl", [{"type": "filter", "condition": "length > 1000"}]), "No record"),
        (("data/raw_dataset.csv", "huggingface"), "save_to_disk"),
    ],
)
def test_what_cannot_be_prepared_is_said(prepare: Prepare, arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(AfinadorError, match=said):
        prepare(*arguments)
    assert [path.name for path in Path("data").iterdir()] == ["raw_dataset.csv"]
