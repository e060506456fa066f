"""``train`` and ``validate dataset``: no service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def job_file(root: Path, tmp_path: Path, dataset: Path) -> Path:
    path = tmp_path / "job.yaml"
    request = {
        "base_model": str(root / "examples" / "base_model" / "model"),
        "dataset": dataset.name,
        "output_model": "bot",
        "hyperparameters": {"epochs": 1, "batch_size": 4, "logging_steps": 1},
    }
    path.write_text(json.dumps(request))
    return path


def test_a_data_set_is_judged_without_a_service(afinador: Run, dataset: Path) -> None:
    ran = afinador("validate", "dataset", dataset)
    assert ran.code == 0 and "12 records" in ran.out
    report = json.loads(afinador("validate", "dataset", dataset, "--json").out)
    assert (report["format"], report["records"], report["errors"]) == ("jsonl", 12, [])


def test_the_folder_that_one_is_in_is_told_by_its_name(
    afinador: Run, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "letters"
    (folder / "in").mkdir(parents=True)
    (folder / "train.jsonl").write_bytes(dataset.read_bytes())
    for at, reference in ((folder, "."), (folder / "in", "..")):
        monkeypatch.chdir(at)
        ran = afinador("validate", "dataset", reference)
        assert ran.code == 0 and ran.out.startswith("letters can be trained on"), ran.err


def test_how_a_data_set_is_read_is_declared_by_options(
    afinador: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "bank.csv").write_text("q;c\n" + "¿Dónde?;card\n¿Cuándo?;cash\n" * 6, encoding="latin-1")
    (elsewhere / "mapping.yaml").write_text("text: 'Pregunta: {q}'\nlabel: c\n")
    options = ("--encoding", "latin-1", "--delimiter", ";", "--mapping", "mapping.yaml", "--json")
    report = json.loads(afinador("validate", "dataset", "bank.csv", *options).out)
    assert (report["shape"], report["records"], report["errors"]) == ("text_label", 12, [])
    ran = afinador("validate", "dataset", "bank.csv", "--delimiter", "ab")
    assert ran.code == 2 and "delimiter is 'ab'; it must be one character" in ran.err
    ran = afinador("validate", "dataset", "bank.csv", "--escape-character", "\\\\")
    assert ran.code == 2 and r"escape_character is '\\'; it must be one character" in ran.err
    ran = afinador("validate", "dataset", "bank.csv", "--loader", "acme_loader:read")
    assert ran.code == 2 and "none is allowed" in ran.err
    (elsewhere / "acme_loader.py").write_text("def read(path):\n    return ({'text': x} for x in 'abc')\n")
    (elsewhere / "operator.yaml").write_text("loaders: [acme_loader]\n")
    monkeypatch.setenv("AFINADOR_CONFIG", str(elsewhere / "operator.yaml"))
    monkeypatch.syspath_prepend(elsewhere)
    report = json.loads(afinador("validate", "dataset", "bank.csv", "--loader", "acme_loader:read", "--json").out)
    assert (report["format"], report["records"]) == ("custom", 3)


def test_every_kind_of_fault_is_shown_with_its_line(afinador: Run, dataset: Path) -> None:
    dataset.write_text(dataset.read_text() + '{"text": "x"}\n' * 15 + "no json\n")
    ran = afinador("validate", "dataset", dataset)
    assert ran.code == 1
    assert "ine 13" in ran.out and "ine 28" in ran.out and "more like these" in ran.out


def test_faults_of_one_kind_stand_together_and_a_folder_is_one_data_set(afinador: Run, dataset: Path) -> None:
    dataset.write_text('{"text": "x"}\nno json\n{"text": "x"}\nno json\n' + dataset.read_text())
    shown = afinador("validate", "dataset", dataset).out
    assert [int(number) for number in re.findall(r"ine (\d+)", shown)][:4] == [1, 3, 2, 4]
    assert "error missing_field ×2" in shown and "error json_syntax ×2" in shown and "\x1b" not in shown
    shown = afinador("validate", "dataset", dataset.parent).out
    assert f"{dataset.name}: Line 2 is no JSON" in shown and f"({dataset.name}, line 1)" in shown


def test_validation_data_is_judged_beside_the_training_data(afinador: Run, dataset: Path, tmp_path: Path) -> None:
    other = tmp_path / "valid.jsonl"
    other.write_text(dataset.read_text().splitlines()[3] + "\n")
    ran = afinador("validate", "dataset", dataset, "--validation", other)
    assert ran.code == 0 and "warning overlap" in ran.out and f"Line 1 is also line 4 of {dataset.name}" in ran.out
    other.write_text("no json\n")
    ran = afinador("validate", "dataset", dataset, "--validation", other, "--json")
    report = json.loads(ran.out)
    assert ran.code == 1 and report["errors"] == [] and report["validation"]["counts"] == {"json_syntax": 1}


def test_training_from_a_file_leaves_the_result_where_it_says(afinador: Run, job_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ran = afinador("train", job_file, "--output", folder, "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert (result["status"], result["steps"]) == ("succeeded", 3)
    assert Path(result["model_path"]) == folder / "final"
    assert (folder / "final" / "adapter_model.safetensors").is_file()
    assert "training" in ran.err and "done: step 3/3" in ran.err and str(folder / "final") in ran.err


def test_a_wrong_job_file_fails_before_anything_is_written(afinador: Run, job_file: Path, tmp_path: Path) -> None:
    request = json.loads(job_file.read_text())
    for change, code, words in (
        ({"hyperparameters": {"epochs": 99}}, 2, "from 1 to 10"),
        ({"hyperparameters": {"epoks": 1}}, 2, "'epochs'"),
        ({"base_model": "nowhere"}, 3, "nowhere"),
        ({"datset": "x"}, 2, "'dataset'"),
        ({"hyperparameters": {"target_modules": ["q_prj"]}}, 2, "Did you mean 'q_proj'"),
        ({"tuning_method": "qlora", "task": "sequence_classification"}, 2, "Use tuning_method 'lora'"),
        ({"config": {"hyperparameters": {"warmup_steps": -1}}}, 2, "warmup_steps is -1"),
    ):
        job_file.write_text(json.dumps(request | change))
        ran = afinador("train", job_file, "--output", tmp_path / "run")
        assert ran.code == code and words in ran.err and ran.err.count("\n") == 1
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bytes(range(256)), "it is no UTF-8 text"),
        (b"base_model: a\x00b\n", "it is no UTF-8 text"),
        (b"base_model: [1\n", "line 2 is no good YAML"),
        (b"- base_model\n", "it holds no fields"),
    ],
)
def test_what_is_no_job_file_is_refused_in_a_sentence(
    content: bytes, words: str, afinador: Run, tmp_path: Path
) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    ran = afinador("train", path)
    assert ran.code == 2 and words in ran.err and ran.err.count("\n") == 1, ran.err
    assert "codec" not in ran.err and "base_model and dataset" in ran.err


def test_another_run_s_folder_is_not_written_into(afinador: Run, job_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    request = json.loads(job_file.read_text())
    from afinador.training.job_file import spec_from_file
    from afinador.training.run_dir import RunDir

    RunDir(folder).write_spec(spec_from_file(job_file))
    job_file.write_text(json.dumps(request | {"seed": 5}))
    ran = afinador("train", job_file, "--output", folder)
    assert ran.code == 2 and "another run" in ran.err


def test_a_stop_reaches_the_training_process(job_file: Path, tmp_path: Path) -> None:
    request = json.loads(job_file.read_text())
    request["hyperparameters"] = {"epochs": 10, "batch_size": 1, "logging_steps": 1}
    job_file.write_text(json.dumps(request))
    folder = tmp_path / "run"
    words = [sys.executable, "-m", "afinador.cli", "train", str(job_file), "--output", str(folder)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    status: dict[str, Any] = {}
    end = time.monotonic() + 60
    while status.get("state") != "training" and time.monotonic() < end:
        time.sleep(0.05)
        if (folder / "status.json").exists():
            status = json.loads((folder / "status.json").read_text())
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(status["process_id"], 0)
