"""The pages on a data set: whole, alone, and harmless whatever the data hold."""

from __future__ import annotations

import re
from typing import Any

import pytest

from afinador.figures import visible
from afinador.report.dataset_markdown import dataset_markdown
from afinador.report.dataset_page import dataset_page
from afinador.report.histograms import histogram
from afinador.report.preview_page import preview_page
from afinador.schemas.dataset_reports import DatasetPreview, DatasetReport
from tests.afinador.report.test_page import HOSTILE, Checked

LENGTHS = {
    "min": 1, "mean": 2.5, "p50": 2, "p90": 9, "p95": 9, "p99": 9, "max": 40,
    "histogram": [{"from": 1, "to": 20, "records": 5}, {"from": 21, "to": 40, "records": 1}],
}  # fmt: skip
TOKENS: dict[str, Any] = {
    "base_model": HOSTILE, "task": "causal_lm", "template": "plain", "max_length": 2048, "context_length": 20,
    "usable_length": 20, "records": 6, "tokens": 60, "kept_tokens": 40, "trained_tokens": 30, "pieces": 6, "every": 9,
    "lengths": LENGTHS, "trained_lengths": LENGTHS, "special_tokens": {"</s>": 2}, "unknown": {"tokens": 3, "share": 0.05},
    "truncated": {"records": 1, "prompts": 1, "prompt_tokens": 20, "ends": 0, "end_tokens": 0},
}  # fmt: skip


def report(**more: Any) -> DatasetReport:
    faults = [{"code": "odd", "message": f"{HOSTILE} {number}", "line": number} for number in range(5)]
    fields: dict[str, Any] = {
        "file": HOSTILE, "valid": False, "format": "jsonl", "shape": "text_label", "records": 600, "bytes": 1234,
        "summary": HOSTILE, "errors": faults, "warnings": faults[:1], "counts": {"odd": 70}, "tokens": TOKENS,
        "labels": {"records": 600, "counts": {HOSTILE: 599, "\u202etxt": 1}},
    }  # fmt: skip
    return DatasetReport.model_validate(fields | more)


def preview(text: str = HOSTILE) -> DatasetPreview:
    tokens = [{"id": 5, "text": text, "state": state} for state in ("trained", "masked", "cut")]
    counts = {"trained": 1, "masked": 1, "cut": 1}
    records = [
        {"line": 1, "pieces": [tokens], "counts": counts, "learns_class": HOSTILE},
        {"line": 2, "pieces": [tokens, tokens], "counts": counts, "tokens_hidden": 7},
        {"line": 3, "problem": HOSTILE},
    ]
    return DatasetPreview(
        file=HOSTILE, base_model=HOSTILE, task="causal_lm", template="plain", max_length=9, usable_length=9,
        records=records,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("page", [dataset_page(report(validation=report())), preview_page(preview())])
def test_pages_stand_alone_and_hostile_text_stays_text(page: str) -> None:
    checked = Checked(page)
    assert not checked.names & {"script", "img", "link", "iframe", "object", "form"}
    assert not [name for name, _ in checked.attributes if name.startswith("on") or name in ("src", "href")]
    assert "http://" not in page and "https://" not in page
    assert "&lt;script&gt;" in page and "\u202e" not in page


def test_report_shows_figures_sample_and_what_is_folded() -> None:
    page = dataset_page(report())
    assert "cannot be trained on" in page and "one record in 9" in page and "max_length 20" in page
    assert "2 of 67 more" in page
    assert "can be trained on" in dataset_page(report(valid=True, errors=[], tokens=None, labels=None))


def test_preview_tells_states_without_colour_and_has_ids() -> None:
    page = preview_page(preview("a\nb\x1b"))
    for state in ("trained", "masked", "cut"):
        assert re.search(rf'<span class="t {state}" title="5 {state}" data-id="5">a⏎\nb␛</span>', page)
        assert f'<span class="t {state}">{state}</span>' in page
    assert "And 7 more tokens" in page and "Piece 2" in page


def test_histogram_marks_what_is_longer_than_the_limit() -> None:
    drawn = histogram("Lengths", LENGTHS["histogram"], x_name="tokens", limit=20)
    assert drawn is not None and drawn.count("<rect") == 2 and drawn.count('class="over"') == 1
    assert "max_length 20" in drawn and "most records (5) have 1 to 20" in drawn
    assert histogram("Lengths", [], x_name="tokens") is None


def test_markdown_of_others_stays_text() -> None:
    text = dataset_markdown(report(file="a|b `c` [d](http://e)", validation=report()))
    assert r"a\|b \`c\` \[d\]\(http://e\)" in text
    assert "<script" not in text.replace(r"\<script", "") and "| records | 600 | 600 |" in text


def test_visible_shows_what_would_steer() -> None:
    assert visible("a\tb\nc\x1b[0m\u202e\ud800é") == "a\tb\nc␛[0m⟨U+202E⟩⟨U+D800⟩é"
