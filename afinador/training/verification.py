"""Proofs that a user can make on a job of his own: that going on from a checkpoint is exact, and that a run repeats.

::

    certificate = verify_resume(spec, Path("proof"))
    certificate["equal"], certificate["first_difference"]
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from afinador.config.spec import FineTuningSpec
from afinador.data.files.folders import content_of
from afinador.errors import DataError, InvalidRequestError, ModelError, OutOfRangeError, TrainingError
from afinador.models.headers import inspect_model_folder
from afinador.schemas.certificates import DEFAULT_STEPS, LEAST_STEPS, MOST_STEPS
from afinador.training.checkpoints import complete_checkpoints, state_of, verify
from afinador.training.child import TrainingProcess
from afinador.training.comparison import differences, first_difference, measurements, tensor_hashes
from afinador.training.run_dir import RunDir

CERTIFICATE = "certificate.json"
ORPHAN_SECONDS = 1
"""What trains for a proof stops so soon after whoever waits for it has died: nobody goes on from there."""


def verify_resume(
    spec: FineTuningSpec,
    folder: Path,
    steps: int = DEFAULT_STEPS,
    *,
    process: TrainingProcess | None = None,
) -> dict[str, Any]:
    """Train some steps straight, train them again with a stop and a new process in the middle, and compare.

    Each part is trained in a process of its own. Every step is logged, whatever ``logging_steps`` says. The parts lie in
    ``folder/straight`` and ``folder/resumed``, the certificate in ``folder/certificate.json``.

    Args:
        spec: Of the job, with local paths.
        folder: New or empty.
        steps: Optimizer steps, 2 to 10,000; of a job that has fewer, all of them.
        process: How processes are started and watched.

    Returns:
        The certificate; see ``certify_resume``.

    Raises:
        OutOfRangeError: ``steps``.
        InvalidRequestError: ``folder`` holds something.
        TrainingError: The job has a single step.
        AfinadorError: Model or data are not those of the specification, or training failed.
    """
    _require_steps(steps)
    spec = without_past(spec)
    _require_inputs(spec)
    process = process or TrainingProcess()
    straight, resumed = (RunDir(_empty(folder) / name) for name in ("straight", "resumed"))
    straight.write_spec(_with(spec, logging_steps=1))
    process.run(straight, stop_after=steps)
    made = _steps_made(straight)
    if made < LEAST_STEPS:
        raise TrainingError(
            "The job has a single optimizer step, and nothing can be stopped in its middle. Verify one with more data, "
            "more epochs or a smaller batch_size.",
            code="too_few_steps",
        )
    resumed.write_spec(_with(spec, logging_steps=1, micro_batch_size=_micro_batch_size(straight)))
    process.run(resumed, stop_after=made // 2)
    process.run(resumed, stop_after=made)
    certificate = certify_resume(spec, straight, resumed)
    RunDir(folder).write_document(CERTIFICATE, certificate)
    return certificate


def without_past(spec: FineTuningSpec) -> FineTuningSpec:
    """Return the specification of a run's whole training, where it goes on with that of another run."""
    goes_on = spec.start_from is not None and spec.start_from.state == "whole"
    return spec.model_copy(update={"start_from": None}) if goes_on else spec


def certify_resume(spec: FineTuningSpec, straight: RunDir, resumed: RunDir) -> dict[str, Any]:
    """Compare the last checkpoints and the journals of two runs of one specification.

    Returns:
        ``equal``; ``steps`` and ``resumed_after``, in optimizer steps; ``hashes`` of every tensor file of the last
        checkpoint (weights, optimizer, random generators, order of the data), of both runs; ``first_difference``
        (``step``, ``value``, ``values``) or None; ``environment`` and where that of the second run differed; and what was
        trained: base model and data with their hashes, seed, hyperparameters.

    Raises:
        TrainingError: One of them has no checkpoint.
    """
    steps = _steps_made(straight)
    runs = (straight, resumed)
    hashes = [tensor_hashes(_last_checkpoint(run)) for run in runs]
    names = sorted(hashes[0].keys() | hashes[1].keys())
    difference = first_difference(*(measurements(run, steps) for run in runs)) or _first_file(hashes, names, steps)
    grounds = [state_of(_last_checkpoint(run))["environment"] for run in runs]
    return {
        "type": "resume",
        "equal": difference is None,
        "steps": steps,
        "resumed_after": steps // 2,
        "hashes": {name: {"straight": hashes[0].get(name), "resumed": hashes[1].get(name)} for name in names},
        "first_difference": difference,
        "environment": grounds[0],
        "environment_differences": differences(*grounds),
        **_subject(spec),
    }


def reproduce(
    spec: FineTuningSpec,
    folder: Path,
    expected_sha256s: Mapping[str, str],
    *,
    original: Mapping[str, Any] | None = None,
    process: TrainingProcess | None = None,
) -> dict[str, Any]:
    """Run a whole job again and compare the weights that it ends with.

    Args:
        spec: Of the job, with local paths.
        folder: New or empty; the run lies in ``folder/run``, the certificate in ``folder/certificate.json``.
        expected_sha256s: Of each safetensors file that was published, by name.
        original: ``result.json`` of the job, if it is there: its number of threads and its micro-batch are used again,
            and its environment is compared.
        process: How the process is started and watched.

    Returns:
        ``equal``; ``expected`` and ``found`` hashes; ``environment``, and where it differs from the original's; and what
        was trained, as in ``certify_resume``.

    Raises:
        InvalidRequestError: Nothing is expected, or ``folder`` holds something.
        AfinadorError: Model or data are not those of the specification, or training failed.
    """
    if not expected_sha256s:
        raise InvalidRequestError("The job has published no weights; there is nothing to compare with.")
    _require_inputs(spec)
    before = dict((original or {}).get("environment") or {})
    model = (original or {}).get("model") or {}
    run = RunDir(_empty(folder) / "run")
    run.write_spec(_with(spec, micro_batch_size=model.get("micro_batch_size") or spec.hyperparameters.micro_batch_size))
    (process or TrainingProcess()).run(run, threads=before.get("threads"))
    found, now = tensor_hashes(run.final), (run.result() or {})["environment"]
    certificate = {
        "type": "reproduction",
        "equal": found == dict(expected_sha256s),
        "expected": dict(expected_sha256s),
        "found": found,
        "environment": now,
        "environment_differences": differences(before, now) if before else None,
        **_subject(spec),
    }
    RunDir(folder).write_document(CERTIFICATE, certificate)
    return certificate


def local_run(folder: Path) -> tuple[FineTuningSpec, dict[str, str], dict[str, Any]]:
    """Return specification, hashes of the weights and result of a finished run directory.

    Raises:
        InvalidRequestError: It holds no run, or one that has not succeeded.
    """
    run_dir = RunDir(folder)
    spec, result = run_dir.spec(), run_dir.result() or {}
    if result.get("status") != "succeeded":
        raise InvalidRequestError(f"The run in {folder} has not succeeded; only a finished one can be reproduced.")
    return spec, tensor_hashes(run_dir.final), result


def _require_steps(steps: int) -> None:
    if not LEAST_STEPS <= steps <= MOST_STEPS:
        raise OutOfRangeError(
            f"steps is {steps}; it must be from {LEAST_STEPS} to {MOST_STEPS:,} optimizer steps.", param="steps"
        )


def _require_inputs(spec: FineTuningSpec) -> None:
    """A proof on other bytes than those that were trained on would prove nothing."""
    for file in (spec.training_file, spec.validation_file):
        if file is not None and content_of(_there(file.path, file.name))[0] != file.sha256:
            raise DataError(f"{file.name} is not the file that the job was trained on: its hash has changed.")
    if inspect_model_folder(_there(spec.base_model.path, spec.base_model.name)).sha256 != spec.base_model.sha256:
        raise ModelError(
            f"The base model {spec.base_model.name!r} is not the one that the job was trained from: its hash has changed."
        )

    start = spec.start_from
    for checkpoint in filter(None, (start, start and start.best)):
        verify(Path(checkpoint.path))


def _there(path: str, name: str) -> Path:
    if not Path(path).exists():
        raise DataError(f"{name} is no longer where the job has read it.")
    return Path(path)


def _empty(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidRequestError(f"{folder} is not empty; name a new folder.")
    return folder


def _with(spec: FineTuningSpec, **hyperparameters: Any) -> FineTuningSpec:
    """Change what changes no weight."""
    ours = {"orphan_timeout_seconds": ORPHAN_SECONDS, **hyperparameters}
    changed = spec.hyperparameters.model_copy(update=ours)
    return spec.model_copy(update={"hyperparameters": changed})


def _micro_batch_size(run_dir: RunDir) -> int:
    """Return what was chosen for the first run: free memory is never quite the same."""
    size: int = (run_dir.read_document("model.json") or {})["micro_batch_size"]
    return size


def _last_checkpoint(run_dir: RunDir) -> Path:
    folders = complete_checkpoints(run_dir)
    if not folders:
        raise TrainingError(f"The run {run_dir.path.name!r} has left no checkpoint; see its log.txt.")
    return folders[-1]


def _steps_made(run_dir: RunDir) -> int:
    steps: int = state_of(_last_checkpoint(run_dir))["step"]
    return steps


def _first_file(hashes: list[dict[str, str]], names: list[str], steps: int) -> dict[str, Any] | None:
    for name in names:
        values = [each.get(name) for each in hashes]
        if values[0] != values[1]:
            return {"step": steps, "value": name, "values": values}
    return None


def _subject(spec: FineTuningSpec) -> dict[str, Any]:
    named = {"name", "sha256"}
    held_out, start = spec.validation_file, spec.start_from
    return {
        "base_model": spec.base_model.model_dump(include=named),
        "training_file": spec.training_file.model_dump(include=named),
        "validation_file": held_out and held_out.model_dump(include=named),
        "start_from": start and start.model_dump(include={"name", "step", "state", "manifest_sha256"}),
        "task": spec.task,
        "tuning_method": spec.tuning_method,
        "seed": spec.seed,
        "hyperparameters": spec.hyperparameters.model_dump(mode="json", exclude_none=True),
        "created_at": int(time.time()),
    }
