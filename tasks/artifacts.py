"""What a person sees of a job in the Prefect UI: progress, loss curve, base against tuned, links.

Artifacts are for eyes: when Prefect does not take one, the job goes on and the log says so. A call takes 30–130 ms, so
progress is drawn every few seconds, not at every step.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from typing import Any, ParamSpec
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from afinador.report.dataset_markdown import dataset_markdown
from afinador.schemas.dataset_reports import DatasetReport
from registry import jobs
from registry.tracking.experiments import Experiments
from tasks.attempt import Attempt

logger = logging.getLogger(__name__)

DATA_PAGE = "dataset.html"
"""Of a run directory: the report on the data as people see it."""
MAX_TABLE_ROWS = 200
MAX_CLASS_ROWS = 20
Arguments = ParamSpec("Arguments")


def for_eyes_only(draw: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Let a job go on when Prefect does not take an artifact, whatever the cause."""

    @functools.wraps(draw)
    def drawn(*arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        try:
            draw(*arguments, **named)
        except Exception as error:
            logger.warning("Prefect did not take an artifact (%s): %s", draw.__name__, error)

    return drawn


@for_eyes_only
def show_progress(attempt: Attempt, status: dict[str, Any]) -> None:
    """Draw the share of steps that are done: one artifact a job, updated by every attempt."""
    steps = status.get("steps") or 0
    percent = 100.0 * (status.get("step") or 0) / steps if steps else 0.0
    known = attempt.job().progress_artifact_id
    if known:
        update_progress_artifact(UUID(known), progress=percent)
        return
    made = create_progress_artifact(progress=percent, key=_key("progress", attempt), description="Steps trained")
    with attempt.memory.database.session() as session:
        jobs.set_fields(session, attempt.job_id, attempt.number, progress_artifact_id=str(made))


@for_eyes_only
def show_losses(attempt: Attempt) -> None:
    """Draw the loss curve as a table, thinned to at most 200 rows: one artifact an attempt, drawn anew as it grows."""
    rows, _ = attempt.run.metrics_after(0)
    by_step: dict[int, dict[str, Any]] = {}
    for row in rows:
        by_step.setdefault(row["step"], {}).update(row)
    columns = ("step", "epoch", "train_loss", "valid_loss", "learning_rate", "tokens_per_second")
    table = [{name: _short(row.get(name)) for name in columns} for _, row in sorted(by_step.items())]
    stride = -(-len(table) // MAX_TABLE_ROWS) or 1
    drawn = table[::stride]
    if attempt.losses_artifact_id is None:
        made = create_table_artifact(table=drawn, key=_key("losses", attempt), description="Loss by step")
        attempt.losses_artifact_id = UUID(str(made))
        return
    with get_client(sync_client=True) as client:
        client.update_artifact(attempt.losses_artifact_id, ArtifactUpdate(data=json.dumps(drawn)))


@for_eyes_only
def show_comparison(attempt: Attempt, evaluation: dict[str, Any]) -> None:
    """Draw base against tuned: figures, and sample answers side by side."""
    base, tuned = evaluation.get("base") or {}, evaluation.get("tuned") or {}
    untrained = " (untrained head)" if base.get("head") == "untrained" else ""
    lines = [f"| | base{untrained} | tuned |", "|---|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {_short(base.get(name))} | {_short(tuned[name])} |" for name in tuned]
    if not tuned:
        lines = [str(evaluation.get("skipped") or "No evaluation.")]
    lines += _rows_of_classes(evaluation.get("classes") or [])
    for sample in evaluation.get("samples") or []:
        lines += ["", f"**{_line(sample['prompt'])}**", ""]
        lines += [f"- {name}: {_line(sample[name])}" for name in ("expected", "base", "tuned")]
    create_markdown_artifact(
        markdown="\n".join(lines), key=_key("evaluation", attempt), description="Base against tuned"
    )


@for_eyes_only
def show_data(attempt: Attempt, report: DatasetReport) -> None:
    """Draw what was found of the data: figures of both files side by side, and what is wrong with either."""
    if attempt.flow_run_id:
        create_markdown_artifact(markdown=dataset_markdown(report), key=_key("data", attempt), description="Data")


@for_eyes_only
def show_run(attempt: Attempt, experiments: Experiments, run_id: str) -> None:
    """Leave links to the job's run in MLflow, and to the report on its data there."""
    if not attempt.flow_run_id:
        return
    pages = {"mlflow": experiments.run_page(attempt.spec.organization, run_id)}
    if (attempt.run.path / DATA_PAGE).is_file():
        pages["dataset"] = experiments.run_page(attempt.spec.organization, run_id, DATA_PAGE)
    show_links(attempt, {name: f"{attempt.memory.settings.mlflow_url}{page}" for name, page in pages.items()})


@for_eyes_only
def show_links(attempt: Attempt, links: dict[str, str]) -> None:
    """Leave links to where the result is, such as ``{"mlflow": "http://…"}``."""
    for name, link in links.items():
        create_link_artifact(link=link, link_text=f"{attempt.spec.output.name}: {name}", key=_key(name, attempt))


def _rows_of_classes(classes: list[dict[str, Any]]) -> list[str]:
    """Return F1 of each class, those that the tuned model finds worst first."""
    if not classes:
        return []
    worst_first = sorted(classes, key=lambda row: row["f1"])[:MAX_CLASS_ROWS]
    return [
        "",
        "| class | examples | F1 of base | F1 of tuned |",
        "|---|---|---|---|",
        *(
            f"| {_line(row['class'])} | {row['examples']} | {_short(row['base_f1'])} | {_short(row['f1'])} |"
            for row in worst_first
        ),
    ]


def _key(kind: str, attempt: Attempt) -> str:
    """Name an artifact by kind and the end of the job's id, as short as the time line of the UI needs it."""
    return f"{kind}-{attempt.job_id[-8:]}"


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _line(text: str) -> str:
    return " ".join(str(text).split())[:300]
