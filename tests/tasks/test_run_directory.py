"""Run directories that are gone, or are those of another host: a job goes on there as if nothing had happened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from afinador.storage import sha256_of
from afinador.training import FineTuner
from afinador.training.checkpoints import complete_checkpoints, save_checkpoint, seal, verify
from afinador.training.run_dir import TIMES, RunDir
from afinador.training.stopping import Stopped, StopSign
from registry import jobs
from registry.job_life import checkpoints, events
from registry.ledger.tables import Job
from registry.memory import Memory
from registry.publishing import hub
from registry.tracking.experiments import Experiments
from tasks import ending
from tasks.attempt import Attempt, claim
from tasks.following import Follower
from tasks.run_directory import prepare
from tasks.validate import validate_dataset

Create = Callable[..., Job]


def claimed(job: Job) -> Attempt:
    attempt = claim(job.id, "")
    assert attempt is not None
    return attempt


def trained(attempt: Attempt, stop_after: int | None = None) -> Follower:
    """Do what a flow does up to the end of training, which runs in this process."""
    validate_dataset.fn(attempt)
    follower = Follower(attempt)
    stop = StopSign(attempt.run, stop_after=stop_after)
    try:
        FineTuner(attempt.run.spec(), attempt.run, attempt=attempt.number, stop=stop).run()
    except Stopped:
        assert stop_after is not None
    follower.forward({}, in_prefect=False)
    return follower


def forwarded(attempt: Attempt) -> None:
    """Forward what is there, and leave no thread behind."""
    follower = Follower(attempt)
    follower.forward({}, in_prefect=False)
    follower.curves.close(60)


def told(memory: Memory, job: Job) -> list[Any]:
    with memory.database.reading() as session:
        return events.list_page(session, job.organization_id, job.id, limit=100)[0][::-1]


def curve(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def curves_of(memory: Memory, job: Job) -> list[dict[str, Any]]:
    with memory.database.reading() as session:
        return events.metrics(session, job.organization_id, job.id)


def test_a_paused_job_whose_directory_is_lost_ends_with_the_bits_of_an_undisturbed_one(
    memory: Memory, create: Create, tmp_path: Path
) -> None:
    job = create(output_model="sums", settings={"save_total_limit": 3})
    first = claimed(job)
    trained(first, stop_after=7)
    first.run.log.write_text("What was printed first.\n")
    undisturbed = RunDir(tmp_path / "undisturbed")
    FineTuner(first.run.spec(), undisturbed).run()
    before = curves_of(memory, job)
    assert ending.stopped(first, "pause") == "paused"
    shutil.rmtree(first.run.path)
    stored = memory.storage.local_path(f"{job.organization_id}/jobs/{job.id}/checkpoints/step-000007")
    assert stored is not None
    weights = stored / "training_state" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with memory.database.session() as session:
        jobs.request_resume(session, job.organization_id, job.id)
    second = claimed(job)
    follower = trained(second)
    gateway_and_run = follower.curves.close(60)

    assert second.run.log.read_text().startswith("What was printed first.")
    published, expected = (
        {path.name: sha256_of(path) for path in folder.glob("*.safetensors")}
        for folder in (second.run.final, undisturbed.final)
    )
    assert published == expected and published
    after = curves_of(memory, job)
    assert after[: len(before)] == before, "what was logged before keeps its time"
    assert curve(after) == curve(undisturbed.metrics_after(0)[0])
    assert second.run.metrics_after(0)[0] == after
    happened = told(memory, job)
    messages = [event.message for event in happened]
    assert [message for message in messages if message.startswith("Epoch")] == [
        row["message"] for row in undisturbed.events_after(0)[0] if row["type"] == "epoch"
    ]
    assert any(message.startswith("step-000007 is damaged in the storage and forgotten") for message in messages)
    assert "Checkpoint 4 was fetched from the storage: it was no longer on this machine." in messages
    numbers = [int(event.dedup_key.split(":")[1]) for event in happened if (event.dedup_key or "").startswith("run:")]
    assert numbers == list(range(1, len(numbers) + 1)) == [row["sequence"] for row in second.run.events_after(0)[0]]
    assert not [message for message in messages if "is not the same" in message]
    assert gateway_and_run is not None
    experiments, run_id = gateway_and_run
    with experiments.workspace(second.spec.organization) as client:
        history = client.get_metric_history(run_id, "train_loss")
    assert sorted(point.step for point in history) == list(range(1, 13))
    require_publishable(memory, experiments, job, second.run.final)


def require_publishable(memory: Memory, experiments: Experiments, job: Job, final: Path) -> None:
    """The last checkpoint holds the weights that the job would publish: published, it is the same and loads as such."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    version = hub.publish_checkpoint(memory, experiments, job.organization_id, job.id, "12")
    assert (version.name, version.version, version.checkpoint_step) == ("sums", 1, 12)
    same = {path.name for path in final.iterdir() if path.is_file()} - {"README.md", "afinador.json"}
    assert {name: version.files[name]["sha256"] for name in same} == {name: sha256_of(final / name) for name in same}
    assert {"README.md", "afinador.json", "MLmodel"} <= version.files.keys()
    folder = memory.storage.local_path(version.storage_prefix)
    assert folder is not None
    lineage = json.loads((folder / "afinador.json").read_text())
    assert (lineage["job_id"], lineage["checkpoint"]) == (job.id, {"step": 12, "name": version.alias})
    assert "the checkpoint after optimizer step 12" in (folder / "README.md").read_text()
    base = AutoModelForCausalLM.from_pretrained(job.spec["base_model"]["path"])
    model, tokenizer = PeftModel.from_pretrained(base, folder), AutoTokenizer.from_pretrained(folder)
    assert model(**tokenizer("1 + 1 =", return_tensors="pt")).logits.isfinite().all()


def keep(memory: Memory, job: Job, folder: Path, step: int, best_step: int) -> Path:
    """Put a checkpoint that no training has made into storage and ledger, and return where it is stored."""
    folder = folder / f"made-{step}"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(json.dumps({"step": step, "best_step": best_step}))
    seal(folder)
    key = f"{job.organization_id}/jobs/{job.id}/checkpoints/step-{step:06d}"
    memory.storage.put_folder(folder, key)
    with memory.database.session() as session:
        checkpoints.register(session, job, step, key, {}, 1)
    stored = memory.storage.local_path(key)
    assert stored is not None
    return stored


def save(attempt: Attempt, step: int, *, best_step: int | None = None, keep: int = 2) -> None:
    """Leave a checkpoint as a training process does, without a training."""
    state = {"step": step, "train_loss": 1.0, "best_step": best_step}
    save_checkpoint(attempt.run, state, lambda folder: None, keep=keep)


def names(attempt: Attempt) -> list[str]:
    return [folder.name for folder in complete_checkpoints(attempt.run)]


def test_the_best_checkpoint_comes_along_and_none_without_it(memory: Memory, create: Create, tmp_path: Path) -> None:
    job = create(validation_file="train.jsonl", settings={"early_stopping_patience": 2})
    attempt = claimed(job)
    best = keep(memory, job, tmp_path, 2, best_step=2)
    for step in (3, 4):
        keep(memory, job, tmp_path, step, best_step=2)
    prepare(attempt)
    assert names(attempt) == ["step-000002", "step-000004"]
    shutil.rmtree(attempt.run.path)
    (best / "trainer_state.json").write_text("{}")
    prepare(attempt)
    assert names(attempt) == []
    assert told(memory, job)[-1].message == "No checkpoint in the storage is whole; training begins anew."


def test_what_an_earlier_attempt_has_left_on_another_host_is_not_gone_on_from(
    memory: Memory, create: Create, tmp_path: Path
) -> None:
    job = create()
    attempt = claimed(job)
    prepare(attempt)
    here = attempt.run.path
    attempt.run.log_event("message", "info", "It has begun.", once="start")
    forwarded(attempt)
    keep(memory, job, tmp_path, 4, best_step=4)
    shutil.copytree(here, tmp_path / "other host")
    attempt.run.log_event("message", "info", "Said elsewhere only.")
    (attempt.run.path / "final").mkdir()
    cursors = attempt.job().cursors
    prepare(attempt)
    assert (attempt.run.final.exists(), names(attempt)) == (True, ["step-000004"]), "its own directory stays as it is"
    assert attempt.job().cursors == cursors
    with memory.database.session() as session:
        jobs.set_fields(session, job.id, attempt.number, cursors=cursors | {"directory": 7})
    prepare(attempt)
    assert (attempt.run.final.exists(), names(attempt)) == (False, ["step-000004"])
    assert [row["message"] for row in attempt.run.events_after(0)[0]] == ["It has begun."]
    attempt.run.log_event("message", "info", "It has begun.", once="start")
    attempt.run.log_event("message", "info", "It goes on.")
    forwarded(attempt)
    assert [event.message for event in told(memory, job)][-2:] == [
        "Checkpoint 4 was fetched from the storage: it was no longer on this machine.", "It goes on.",
    ]  # fmt: skip


def test_a_journal_cut_by_a_power_failure_is_restored_and_the_rest_stays(
    memory: Memory, create: Create, tmp_path: Path
) -> None:
    job = create()
    attempt = claimed(job)
    prepare(attempt)
    keep(memory, job, tmp_path, 4, best_step=4)
    journal = attempt.run.path / "events.jsonl"
    save(attempt, 4)
    sizes = [journal.stat().st_size]
    attempt.run.log_event("message", "info", "Seen by the ledger.")
    attempt.run.log_metrics({"step": 5, "train_loss": 1.0})
    forwarded(attempt)
    before, cursors = journal.read_text(), attempt.job().cursors
    attempt.run.log_metrics({"step": 6, "train_loss": 0.5})
    measured = attempt.run.metrics_after(0)
    save(attempt, 6)
    (attempt.run.path / "final").mkdir()
    with journal.open("r+") as stream:
        stream.truncate(*sizes)
    prepare(attempt)
    assert (attempt.run.final.exists(), names(attempt)) == (True, ["step-000004", "step-000006"])
    assert journal.read_text() == before
    assert attempt.run.metrics_after(0) == measured, "nobody but this journal knows its last row"
    assert attempt.job().cursors == cursors
    forwarded(attempt)
    assert [row["step"] for row in curves_of(memory, job)] == [5, 6]
    with memory.database.reading() as session:
        assert [row.step_number for row in checkpoints.newest_first(session, job.id)] == [6, 4]


def test_a_torn_checkpoint_is_fetched_again_and_so_is_a_torn_best_one(
    memory: Memory, create: Create, tmp_path: Path
) -> None:
    job = create(validation_file="train.jsonl", settings={"early_stopping_patience": 2})
    attempt = claimed(job)
    for step in (2, 4):
        keep(memory, job, tmp_path, step, best_step=2)
    for torn in ((4,), (2,), (2, 4)):
        prepare(attempt)
        for step in torn:
            (attempt.run.checkpoints / f"step-{step:06d}" / "trainer_state.json").write_text("{")
        prepare(attempt)
        assert [verify(folder) > 0 for folder in complete_checkpoints(attempt.run)] == [True, True], torn


def test_no_checkpoint_is_gone_on_from_whose_best_one_is_nowhere(
    memory: Memory, create: Create, tmp_path: Path
) -> None:
    job = create(validation_file="train.jsonl", settings={"early_stopping_patience": 2})
    attempt = claimed(job)
    keep(memory, job, tmp_path, 2, best_step=2)
    keep(memory, job, tmp_path, 6, best_step=4)
    prepare(attempt)
    assert names(attempt) == ["step-000002"]
