"""The page of a job: whole, alone, and harmless whatever it is told."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from afinador.report.charts import MAX_POINTS, Curve, chart
from afinador.report.markup import element
from afinador.report.page import energy_of, page
from afinador.report.record import AttemptRecord, JobRecord
from afinador.schemas.certificates import Certificate
from afinador.schemas.checkpoints import Checkpoint
from afinador.schemas.events import Event
from afinador.schemas.files import File
from afinador.schemas.jobs import ENDED_STATUSES, OPEN_STATUSES, Job
from afinador.schemas.models import HubEntry, HubFile

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)>"
VOID = {"meta", "br", "input"}


class Checked(HTMLParser):
    """Notes the elements of a page, and complains about those that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def job(status: str = "queued", **more: Any) -> Job:
    fields: dict[str, Any] = {
        "id": "ftjob-1", "name": "orders-1", "organization_id": "org_1", "created_at": 1_700_000_000, "status": status,
        "model": "tiny", "base_model": "tiny", "training_file": "file-1", "dataset": "file-1",
        "hyperparameters": {"epochs": 2}, "tuning_method": "lora", "task": "causal_lm", "seed": 7,
    }  # fmt: skip
    return Job.model_validate(fields | more)


def event(message: str, **more: Any) -> Event:
    return Event(id="ftevent-1", job_id="ftjob-1", created_at=1_700_000_010, level="info", message=message, **more)


def whole(words: str) -> JobRecord:
    """A job of which everything is known, and every text is these words."""
    figures = {"loss": 0.5, "accuracy": 0.75}
    ended = job(
        "succeeded",
        name=words,
        spec={
            "base_model": {"sha256": "b" * 64, "parameters": 1_500_000, "architecture": words},
            "hyperparameters": {"epochs": 2, "batch_size": 32},
            "sources": {"epochs": "request"},
            "code_version": "1.2.3",
        },
        metrics={
            "base": {"loss": 6.5, "accuracy": 0.25},
            "tuned": figures,
            "samples": [{"prompt": words, "expected": words, "base": words, "tuned": words}],
        },
        times={
            "total_seconds": 500,
            "queue_seconds": 33,
            "phase_seconds": {"training": 126},
            "seconds_per_epoch": [61.0],
        },
        trained_tokens=22_649,
        tags=[words],
    )
    file = File(
        id="file-1", bytes=96_200, created_at=1, filename=words, purpose="fine-tune", status="processed", path="p",
        sha256="a" * 64, organization_id="org_1", records=400,
    )  # fmt: skip
    entry = HubEntry(
        id="ft:tiny", object="hub.adapter", kind="adapter", name="orders", version=3, created_at=1, organization_id="o",
        model_id="m", base_model="tiny", dataset="file-1", job_id="ftjob-1", tuning_method="lora", task="causal_lm",
        files=[HubFile(path="adapter_model.safetensors", bytes=7, sha256="c" * 64)], uri="models:/orders/3",
    )  # fmt: skip
    return JobRecord(
        job=ended,
        written_at=1_700_000_500,
        organization=words,
        events=[event(words), event("Loaded", data={"environment": {"device": words, "threads": 2}})],
        metrics=[{"step": step, "train_loss": 8 / step, "learning_rate": 1e-3 / step} for step in range(1, 50)],
        resources=[
            {"cpu_percent": 90.0, "memory_bytes": 10**9, "gpu_energy_watt_hours": energy, "timestamp_ms": 1000 * at}
            for at, energy in enumerate((1.0, 2.5, 0.5, 2.0))
        ],
        attempts=[AttemptRecord(1, 10.0, 70.0, "lost", words), AttemptRecord(2, 80.0, 400.0, "succeeded", words)],
        checkpoints=[
            Checkpoint(
                id="ftckpt_1", created_at=1, fine_tuning_job_id="ftjob-1", job_id="ftjob-1", step_number=50,
                fine_tuned_model_checkpoint=words, metrics={"train_loss": 0.25},
            )
        ],
        certificates=[
            Certificate(
                id="certificate_1", created_at=1, fine_tuning_job_id="ftjob-1", job_id="ftjob-1", type="resume",
                status="succeeded", equal=True, steps=20,
            )
        ],
        files={"training_file": file},
        published=entry,
        published_checkpoints=[entry.model_copy(update={"name": "orders-early", "checkpoint_step": 40})],
    )  # fmt: skip


def test_everything_that_is_known_stands_on_the_page() -> None:
    text = page(whole("orders"))
    for told in (
        "6.5 → 0.5", "22,649", "1 min 00 s", "request", ">1 default<", "b" * 64, "a" * 64, "c" * 64, "models:/orders/3",
        "equal to the bit", "lost", "version 3", "400", "96.2 kB", "afinador 1.2.3", "4.5 Wh", "2 min 06 s",
        "orders-early", "the checkpoint after step 40",
    ):  # fmt: skip
        assert told in text, told
    assert {"svg", "table", "details"} <= Checked(text).names


def test_no_text_becomes_part_of_the_page() -> None:
    text = page(whole(HOSTILE))
    assert HOSTILE not in text and "&lt;script&gt;alert(1)" in text
    assert not Checked(text).names & {"script", "img", "link", "iframe", "base", "form", "object"}


def test_page_loads_nothing_and_forbids_it() -> None:
    text = page(whole("orders"))
    checked = Checked(text)
    assert not {name for name, _ in checked.attributes} & {"src", "href", "style", "srcset", "action"}
    assert not re.search(r"url\(|@import", text)
    policy = next(value for name, value in checked.attributes if value and value.startswith("default-src 'none'"))
    style = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert len(style) == 1
    assert base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode() in policy


@pytest.mark.parametrize("status", [*OPEN_STATUSES, *ENDED_STATUSES])
def test_a_job_that_has_only_begun_has_a_short_page(status: str) -> None:
    error = {"code": "out_of_memory", "message": "No memory."} if status == "failed" else None
    text = page(
        JobRecord(job=job(status, error=error), written_at=1_700_000_100, events=[event("It waits for Prefect")])
    )
    assert "Curves" not in text and "Published" not in text
    assert ("No memory." in text) == (status == "failed")
    assert f'class="badge {status}"' in text
    Checked(text)


def test_curves_show_their_ends_and_leave_out_what_is_no_number() -> None:
    drawn = chart("Loss", [Curve("train", [(step, 1.0 + step) for step in range(5000)])], x_name="step")
    assert drawn is not None and 200 < drawn.count("<title>") <= MAX_POINTS + 1
    assert "step 0:" in drawn and "step 4999:" in drawn
    gaps = chart("Loss", [Curve("train", [(1, float("nan")), (2, None), (3, 2.0), (4, float("inf"))])], x_name="step")
    assert gaps is not None and gaps.count("<title>") == 1
    assert "nan" not in gaps and "inf" not in gaps.replace("infinity", "")
    assert chart("Loss", [Curve("train", [(1, None)])], x_name="step") is None
    for values in ([0.0, 0.0], [-1.0, -1.0], [1e-9, 1e9], [5.0]):
        curve = Curve("x", list(enumerate(values)))
        assert chart("x", [curve], x_name="step", may_be_logarithmic=True)


def test_energy_of_attempts_adds_up() -> None:
    rows = [{"gpu_energy_watt_hours": value} for value in (0.1, 1.0, 2.0, 0.2, 0.7)]
    assert energy_of([{}, *rows]) == pytest.approx(2.7)
    assert energy_of([{"cpu_percent": 3}]) is None


def test_attributes_are_escaped_too() -> None:
    assert element("td", None, 1, class_='a"b', title=None) == '<td class="a&quot;b">1</td>'
