"""The training process as the service starts it: exit codes, and who may stop it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from afinador.config.spec import FineTuningSpec
from afinador.training.log_lines import LogReader
from afinador.training.run_dir import RunDir

MakeSpec = Callable[..., FineTuningSpec]


def start(folder: Path, *options: str, root: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "afinador.training.run", str(folder), *options]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=200, check=False)


def test_process_is_cancelled_then_runs_to_the_end_then_does_nothing(
    make_spec: MakeSpec, tmp_path: Path, root: Path
) -> None:
    run_dir = RunDir(tmp_path / "run")
    run_dir.write_spec(make_spec("lora", generation_examples=1))
    run_dir.write_control(1, "cancel")
    run_dir.write_status(attempt=0, state="training", phase_seconds={"training": 1000.0})
    stopped = start(run_dir.path, "--attempt", "1", root=root)
    assert stopped.returncode == 75
    assert stopped.stderr == "Stopped: cancel was requested.\n"
    assert run_dir.status()["state"] == "stopped"
    assert run_dir.result() is None

    run_dir.write_control(2, None)
    me = f"{os.getpid()}:{psutil.Process().create_time()}"
    done = start(run_dir.path, "--attempt", "2", "--flow-process", me, root=root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert run_dir.status()["attempt"] == 2
    assert run_dir.status()["phase_seconds"]["training"] > 1000
    assert run_dir.result()["status"] == "succeeded"

    lines = run_dir.log.read_text().splitlines()
    told = ("Now loading", "Loaded tiny-llama", "Step 1 of 7: loss", "Epoch 1 of 1", "Checkpoint", "Base against tuned")
    places = [next(at for at, line in enumerate(lines) if text in line) for text in told]
    assert places == sorted(places)
    assert lines[-1].endswith("INFO Now done.")
    assert [line for line in lines if line[:2] != "20"] == [
        lines[0],
        next(line for line in lines if "attempt 2" in line),
    ]
    reader = LogReader()
    told_by = [reader.read(line).attempt for line in lines]
    assert (told_by[0], told_by[-1]) == (1, 2)
    assert "Warning" not in "".join(lines)

    written = (run_dir.path / "result.json").stat().st_mtime_ns
    again = start(run_dir.path, "--attempt", "3", root=root)
    assert again.returncode == 0
    assert (run_dir.path / "result.json").stat().st_mtime_ns == written
    assert run_dir.status()["attempt"] == 2


def test_failing_process_leaves_a_reason_and_no_place_in_the_code(
    make_spec: MakeSpec, tmp_path: Path, root: Path
) -> None:
    run_dir = RunDir(tmp_path / "run")
    spec = make_spec("lora")
    spec.base_model.path = str(tmp_path / "gone")
    run_dir.write_spec(spec)
    failed = start(run_dir.path, root=root)
    error = run_dir.result()["error"]
    assert failed.returncode == 1
    assert failed.stderr == f"{error['message']}\n"
    assert repr(spec.base_model.name) in error["message"] and str(tmp_path) not in error["message"]
    assert f"The run failed: {error['message']}" in run_dir.log.read_text()
    for path in (run_dir.log, *run_dir.path.glob("*.json*")):
        assert "Traceback" not in path.read_text()


def test_job_file_with_an_unknown_field_fails_before_anything_is_imported(tmp_path: Path, root: Path) -> None:
    (tmp_path / "job.yaml").write_text("base_model: x\ndataset: y\nhyperparametres: {}\n")
    failed = start(tmp_path / "run", "--job", str(tmp_path / "job.yaml"), root=root)
    assert failed.returncode == 1
    assert "'hyperparameters'" in failed.stderr
    assert RunDir(tmp_path / "run").result()["error"]["code"] == "unknown_field"
