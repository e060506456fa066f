"""Checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from afinador.errors import InvalidRequestError
from registry.job_life import checkpoints
from registry.ledger.tables import Organization

if TYPE_CHECKING:
    from tests.registry.conftest import Workshop


def test_checkpoint_of_a_step_is_written_down_once(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme)
    with ready.memory.database.session() as session:
        assert not checkpoints.exists(session, job.id, 500)
        first = checkpoints.register(session, job, 500, "key", {"train_loss": 1.0}, 10)
    with ready.memory.database.session() as session:
        again = checkpoints.register(session, job, 500, "other", {"train_loss": 2.0}, 20)
        assert checkpoints.exists(session, job.id, 500)
        rows, _ = checkpoints.list_page(session, acme.id, job.id)
    assert again.id == first.id
    assert [(row.storage_key, row.metrics) for row in rows] == [("key", {"train_loss": 1.0, "step": 500})]


def test_pages_are_newest_first(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme)
    with ready.memory.database.session() as session:
        for step in (2, 10, 6):
            checkpoints.register(session, job, step, "key", {}, 1)
        first, has_more = checkpoints.list_page(session, acme.id, job.id, limit=2)
        rest, _ = checkpoints.list_page(session, acme.id, job.id, after=first[-1].id)
        assert [row.step_number for row in first + rest] == [10, 6, 2] and has_more
        with pytest.raises(InvalidRequestError):
            checkpoints.list_page(session, acme.id, job.id, after="ftckpt_nobody")


def test_checkpoint_is_answered_as_a_model_of_the_job(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme, suffix="x")
    with ready.memory.database.session() as session:
        answer = checkpoints.to_wire(checkpoints.register(session, job, 4, "key", {"valid_loss": 0.5}, 1))
    assert answer.fine_tuned_model_checkpoint == f"ft:tiny-llama:acme:x:{job.id[-8:]}:ckpt-step-4"
    assert answer.step_number == answer.metrics["step"] == 4
    assert answer.fine_tuning_job_id == answer.job_id == job.id


def test_best_checkpoint_outlives_newer_ones(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme)
    with ready.memory.database.session() as session:
        for step, loss in ((2, 0.6), (4, 0.5), (6, None), (8, 0.7), (10, 0.8)):
            metrics = {} if loss is None else {"valid_loss": loss}
            checkpoints.register(session, job, step, f"{step}", metrics, 1)
        assert sorted(checkpoints.prune(session, job.id, keep=2)) == ["2", "6"]
        rows, _ = checkpoints.list_page(session, acme.id, job.id)
    assert [row.step_number for row in rows] == [10, 8, 4]


def test_best_checkpoint_is_the_one_that_the_newest_names(ready: Workshop, acme: Organization) -> None:
    """Training may have saved it before it was measured."""
    job = ready.job(acme)
    with ready.memory.database.session() as session:
        for step, loss, best in ((2, 0.6, 2), (4, None, 2), (6, 0.5, 4), (8, 0.7, 4)):
            checkpoints.register(session, job, step, f"{step}", {"valid_loss": loss, "best_step": best}, 1)
        assert sorted(checkpoints.prune(session, job.id, keep=1)) == ["2", "6"]


def test_figures_that_are_measured_later_are_added(ready: Workshop, acme: Organization) -> None:
    job = ready.job(acme)
    with ready.memory.database.session() as session:
        checkpoints.register(session, job, 4, "key", {"train_loss": 1.0}, 1)
        for step in (4, 6):
            checkpoints.add_figures(session, job.id, step, {"valid_loss": 0.5, "accuracy": 0.25})
        checkpoints.add_figures(session, job.id, 4, {"valid_loss": 0.6})
    with ready.memory.database.session() as session:
        [row], _ = checkpoints.list_page(session, acme.id, job.id)
    assert row.metrics == {"train_loss": 1.0, "step": 4, "valid_loss": 0.5, "accuracy": 0.25}
