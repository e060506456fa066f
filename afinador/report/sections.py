"""The parts of the page that are words and tables; each is None where there is nothing to tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from afinador.figures import count, counted, duration, size, text
from afinador.report.charts import COLOURS, shares
from afinador.report.markup import Content, Markup, code, element, facts, joined, table
from afinador.report.record import JobRecord
from afinador.schemas.jobs import PHASES
from afinador.schemas.models import HubEntry

_SHORTEST_SECONDS = 0.5
"""Phases that took less are not drawn."""
OPEN_SAMPLES = 2
OPEN_EVENTS = 25
"""So many events stand open; more of them are folded."""


def moment(seconds: float | None) -> str | None:
    """Return Unix seconds as a time that means the same to every reader."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def asked(record: JobRecord) -> Markup:
    """What was asked for, and who chose each number."""
    job, spec = record.job, record.job.spec
    base, start = spec.get("base_model") or {}, spec.get("start_from") or {}
    described = [
        base.get("architecture"),
        f"{count(base['parameters'])} parameters" if base.get("parameters") else None,
        base.get("source"),
        base.get("license"),
    ]
    given = facts(
        [
            ("job", joined([job.name, " ", code(job.id)])),
            ("organization", record.organization),
            ("base model", joined([element("b", job.model), " ", ", ".join(filter(None, described))])),
            ("base model's sha256", code(base.get("sha256"))),
            ("starts from", start and f"{start.get('name')}, its {start.get('state')}"),
            ("method", f"{job.tuning_method} for {job.task}"),
            ("output model", job.output_model),
            ("seed", text(job.seed)),
            ("pool and priority", f"{job.pool or 'any'}, {job.priority}"),
            ("saved spec", job.job_spec),
            ("domain", job.domain),
            ("tags", ", ".join(job.tags)),
            ("metadata", text(job.metadata) if job.metadata else None),
        ]
    )
    sources: dict[str, str] = spec.get("sources") or {}
    values = {name: value for name, value in (spec.get("hyperparameters") or job.hyperparameters).items()}
    chosen = [name for name in values if sources.get(name, "default") != "default"]
    rest = [name for name in values if name not in chosen]

    def rows(names: list[str]) -> list[list[Content]]:
        return [[name, text(values[name]), sources.get(name, "default")] for name in names]

    header = ("hyperparameter", "value", "chosen by")
    shown = table(header, rows(chosen)) if chosen else element("p", "All hyperparameters are defaults.", class_="soft")
    hidden = element("details", element("summary", counted(len(rest), "default")), table(header, rows(rest)))
    return joined([given, shown, hidden if rest else None])


def data(record: JobRecord) -> Markup | None:
    """What it learnt from, and what it was measured on."""
    rows: list[list[Content]] = []
    for field, file in record.files.items():
        name = joined([file.filename, " ", element("span", f"version {file.version}", class_="soft")])
        rows.append(
            [field.replace("_", " "), name, text(file.records), size(file.bytes), code(file.id), code(file.sha256)]
        )
    return table(("", "file", "records", "size", "id", "sha256"), rows) if rows else None


def times(record: JobRecord) -> Markup:
    """How long everything took."""
    spent = record.job.times
    phases = [(phase, spent.phase_seconds.get(phase, 0.0)) for phase in PHASES]
    parts = [("in the queue", spent.queue_seconds), *phases, ("paused", spent.paused_seconds)]
    bar = shares([part for part in parts if part[1] >= _SHORTEST_SECONDS][:COLOURS], duration)
    epochs = [[f"epoch {number}", duration(seconds)] for number, seconds in enumerate(spent.seconds_per_epoch, start=1)]
    job = record.job
    told = facts(
        [
            ("created", moment(job.created_at)),
            ("finished", moment(job.finished_at)),
            ("estimated finish", moment(job.estimated_finish)),
            ("in all", duration(spent.total_seconds)),
            *((str(name), value) for name, value in epochs),
        ]
    )
    return joined([bar, told])


def evaluation(record: JobRecord) -> Markup | None:
    """Base against tuned, in figures and in answers."""
    metrics = record.job.metrics
    base, tuned = metrics.get("base"), metrics.get("tuned")
    if not isinstance(base, dict) or not isinstance(tuned, dict):
        return None
    untrained = " (untrained head)" if base.get("head") == "untrained" else ""
    names = [name for name in tuned if isinstance(tuned[name], int | float)]
    rows = [[name.replace("_", " "), text(base.get(name)), text(tuned[name])] for name in names]
    samples = [_sample(sample) for sample in metrics.get("samples") or []]
    heading = element("h3", "Sample answers") if samples else None
    shown, more = samples[:OPEN_SAMPLES], samples[OPEN_SAMPLES:]
    folded = element("details", element("summary", f"{len(more)} more"), *more) if more else None
    return joined([table(("on the validation file", f"base{untrained}", "tuned"), rows), heading, *shown, folded])


def _sample(sample: dict[str, Any]) -> Markup:
    answers = facts((name, str(sample[name])) for name in ("expected", "base", "tuned") if name in sample)
    return element("div", element("p", element("b", str(sample.get("prompt", "")))), answers, class_="sample")


def checkpoints(record: JobRecord) -> Markup | None:
    """The checkpoints that are kept."""
    rows: list[list[Content]] = [
        [
            each.step_number,
            moment(each.created_at),
            text(each.metrics.get("train_loss")),
            text(each.metrics.get("valid_loss")),
            code(each.fine_tuned_model_checkpoint),
            code(each.id),
        ]
        for each in record.checkpoints
    ]
    return table(("step", "saved", "mean train loss", "validation loss", "as a model", "id"), rows) if rows else None


def attempts(record: JobRecord) -> Markup | None:
    """How often it began, and how each time ended."""
    now = record.written_at
    rows: list[list[Content]] = [
        [
            each.number,
            moment(each.started_at),
            duration((each.ended_at or now) - each.started_at),
            each.end or "goes on",
            each.host,
        ]
        for each in record.attempts
    ]
    return table(("attempt", "began", "lasted", "ended", "host"), rows) if rows else None


def published(record: JobRecord) -> Markup | None:
    """The versions in the hub, file by file: what the job has made, then checkpoints that somebody has published."""
    final = [record.published] if record.published else []
    shown = [_version(entry) for entry in (*final, *record.published_checkpoints)]
    return joined(shown) if shown else None


def _version(entry: HubEntry) -> Markup:
    step = "" if entry.checkpoint_step is None else f", the checkpoint after step {entry.checkpoint_step}"
    told = facts(
        [
            ("name", joined([element("b", entry.name), f", version {entry.version} ({entry.kind}){step}"])),
            ("as a model", code(entry.id)),
            ("in MLflow", code(entry.uri)),
            ("in the storage", code(entry.path)),
        ]
    )
    rows: list[list[Content]] = [[file.path, size(file.bytes), code(file.sha256)] for file in entry.files]
    return joined([told, table(("file", "size", "sha256"), rows)])


def reproducibility(record: JobRecord) -> Markup | None:
    """What it was computed on, and what was proved."""
    spec = record.job.spec
    grounds = [event.data["environment"] for event in record.events if event.data.get("environment")]
    ground = grounds[-1] if grounds else {}
    told = facts(
        [
            *((name.replace("_", " "), text(value)) for name, value in ground.items() if value not in (None, {})),
            ("specification resolved by", spec.get("code_version") and f"afinador {spec['code_version']}"),
            ("seed", text(record.job.seed)),
        ]
    )
    if any(other != ground for other in grounds):
        told = joined([told, element("p", "Earlier attempts have computed on other ground; the events tell where.")])
    rows: list[list[Content]] = [
        [
            {"resume": "exact resume", "reproduction": "reproduction"}[each.type],
            {True: "equal to the bit", False: "not equal", None: each.status}[each.equal],
            text(each.steps),
            moment(each.finished_at),
            code(each.id),
        ]
        for each in record.certificates
    ]
    proofs = table(("certificate", "says", "steps", "made", "id"), rows) if rows else None
    return joined([told, proofs])


def events(record: JobRecord) -> Markup | None:
    """What happened, in order."""
    rows = [
        element(
            "tr",
            element("td", moment(event.created_at), class_="soft"),
            element("td", "" if event.level == "info" else event.level, class_=event.level),
            element("td", event.message, class_="wrap"),
        )
        for event in record.events
    ]
    if not rows:
        return None
    left_out = f"{record.older_events} earlier ones are left out." if record.older_events else None
    whole = element("div", element("table", element("tbody", *rows)), class_="scroll")
    if len(rows) > OPEN_EVENTS:
        whole = element("details", element("summary", counted(len(rows), "event")), whole, open="")
    return joined([element("p", left_out, class_="soft") if left_out else None, whole])
