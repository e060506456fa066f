"""The pages on a data set: whole, alone, and harmless whatever the data hold."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from afinador.figures import visible
from afinador.report.dataset_markdown import dataset_markdown
from afinador.report.dataset_page import dataset_page
from afinador.report.histograms import histogram
from afinador.report.preview_page import LONGEST_RUN, preview_page
from afinador.schemas.dataset_reports import DatasetPreview, DatasetReport, PreviewedRecord, PreviewedToken
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
        {"line": 1, "place": "Line 1", "pieces": [tokens], "counts": counts, "learns_class": HOSTILE},
        {"line": 2, "place": "Line 2", "pieces": [tokens, tokens], "counts": counts, "tokens_hidden": 7},
        {"line": 3, "place": "Line 3", "problem": HOSTILE},
    ]
    return DatasetPreview(
        file=HOSTILE, base_model=HOSTILE, task="causal_lm", template="plain", max_length=9, usable_length=9,
        records=records,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("page", [dataset_page(report(validation=report())), preview_page(preview())])
def test_pages_stand_alone_and_hostile_text_stays_text(page: str) -> None:
    checked = Checked(page)
    assert not checked.names & {"script", "img", "link", "iframe", "object", "form"}
    assert not [name for name, _ in checked.attributes if name.startswith("on") or name in ("src", "style")]
    links = {value for name, value in checked.attributes if name == "href"}
    places = [f"#{value}" for name, value in checked.attributes if name == "id"]
    assert links <= {*places} and len(places) == len({*places})
    assert "http://" not in page and "https://" not in page
    assert "&lt;script&gt;" in page and "\u202e" not in page


def test_head_counts_what_was_found_and_tells_the_verdict_on_what_is_held_out() -> None:
    held_out = report(valid=True, errors=[], warnings=[], counts={}, file="held.jsonl", records=1, tokens=None)
    page = dataset_page(report(validation=held_out))
    head = page[page.index("<header>") : page.index("</header>")]
    assert '<a href="#errors" class="error">70 errors</a>' in head and ">70 warnings</a> · no notes" in head
    assert '<a href="#held-out">Held out: held.jsonl</a> <span class="badge valid">can be trained on</span>' in head
    assert "at their end" not in head and "jsonl · text label · 1.2 kB" in head
    assert "<b>600</b><span>records</span>" in head and "<b>1</b><span>record</span>" in page
    assert "<b>1</b><span>record cut</span>" in head and "1 record, 20 tokens" in page


@pytest.mark.parametrize("page", [dataset_page(report(validation=report())), preview_page(preview())])
def test_headings_stand_in_order(page: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_labels_and_types_stand_with_their_shares() -> None:
    page = dataset_page(report(labels={"records": 4, "counts": {"rare": 1, "often": 3}}, types={"thesis": 2, "": 2}))
    assert "2 labels, of 1 to 3 records each." in page and page.index(">often<") < page.index(">rare<")
    assert 'width="33.33%"' in page and "75.0%" in page and ">(none)<" in page


def test_report_shows_figures_sample_and_what_is_folded() -> None:
    page = dataset_page(report())
    assert "cannot be trained on" in page and "one record in 9" in page and "context 20" in page
    assert "2 of 67 more" in page
    assert "can be trained on" in dataset_page(report(valid=True, errors=[], tokens=None, labels=None))


def test_preview_tells_states_without_colour_and_has_ids() -> None:
    page = preview_page(preview("a\nb\x1b"))
    for state in ("trained", "masked", "cut"):
        assert re.search(rf'<span class="t {state}" title="5 {state}" data-id="5">a⏎\nb␛</span>', page)
        assert f'<span class="t {state}">{state}</span>' in page
    assert 'data-id="5">a⏎</span>\n<span class="t masked"' in preview_page(preview("a\n")), "its id is on its line"
    assert "And 7 more tokens" in page and "Piece 2" in page and "<details" not in page


def test_preview_says_how_many_records_it_left_out() -> None:
    said = "that cannot be used; validate dataset says why."
    assert said not in preview_page(preview())
    assert f"1 record up to here {said}" in preview_page(preview().model_copy(update={"unusable_records": 1}))


def test_preview_sums_up_and_folds_long_parts_that_are_not_learnt() -> None:
    def part(state: str, number: int) -> list[dict[str, Any]]:
        return [{"id": number, "text": "x", "state": state}] * number

    pieces = [part("masked", LONGEST_RUN + 1) + part("trained", LONGEST_RUN + 1) + part("cut", 1)]
    counts = {"trained": LONGEST_RUN + 1, "masked": LONGEST_RUN + 1, "cut": 1}
    record = PreviewedRecord.model_validate({"line": 1, "place": "Line 1", "pieces": pieces, "counts": counts})
    page = preview_page(preview().model_copy(update={"records": [record], "total_records": 1109}))
    Checked(page)
    assert (
        page.count("<details>") == 1 and f"<summary>{LONGEST_RUN - 119} more tokens that are masked</summary>" in page
    )
    assert page.count('data-id="') == 2 * LONGEST_RUN + 3, "each token is there, with its id"
    assert "<b>1 of 1,109</b><span>records shown</span>" in page
    assert f"<b>{2 * LONGEST_RUN + 3}</b><span>tokens</span>" in page
    assert "<b>1</b><span>cut (0%)</span>" in page and "<span>trained (50%)</span>" in page


def test_histogram_marks_what_is_longer_than_the_limit() -> None:
    drawn = histogram("Lengths", LENGTHS["histogram"], x_name="tokens", limit=20, limit_name="max_length")
    assert drawn is not None and drawn.count("<rect") == 2 and drawn.count('class="over"') == 1
    assert "max_length 20" in drawn and "most records (5) have 1 to 20" in drawn
    assert histogram("Lengths", [], x_name="tokens") is None


def test_histogram_has_round_marks_and_words_of_one_size() -> None:
    bins = [{"from": 85 + 22 * at, "to": 106 + 22 * at, "records": 188 - at} for at in range(24)]
    drawn = histogram("Lengths", bins, x_name="tokens", limit=None)
    assert drawn is not None and "viewBox" not in drawn
    words = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert words == ["records", "0", "100", "200", "100", "200", "300", "400", "500", "600", "tokens"]
    assert "<title>85 to 106 tokens: 188 records</title>" in drawn
    one = histogram("Lengths", [{"from": 7, "to": 7, "records": 1}], x_name="tokens", limit=7, limit_name="max_length")
    assert one is not None and "<title>7 tokens: 1 record</title>" in one and "max_length" not in one
    many = histogram("Lengths", [{"from": 1, "to": 50_000, "records": 1_100_000}], x_name="characters")
    assert many is not None and {"1.2M", "0.6M", "10k", "50k"} <= {*re.findall(r">([^<]*)</text>", many)}


def test_histogram_sets_outliers_apart() -> None:
    bins = [{"from": at, "to": at + 9, "records": 5} for at in range(0, 100, 10)]
    drawn = histogram(
        "Lengths",
        [*bins, {"from": 100, "to": 40_000, "records": 1}],
        x_name="tokens",
        limit=2048,
        limit_name="max_length",
    )
    assert drawn is not None and "max_length 2,048" in drawn
    assert "&gt; 99" in drawn and "to 40,000" in drawn and "<title>100 to 40,000 tokens: 1 record</title>" in drawn
    assert re.search('text-anchor="end">1</text>', drawn), "how many they are stands above their bar"
    places = [float(x) for x in re.findall(r'x="([0-9.]+)%"', drawn)]
    assert max(places) == 100 and '<rect x="88%"' in drawn


def test_markdown_of_others_stays_text() -> None:
    text = dataset_markdown(report(file="a|b `c` [d](http://e)", validation=report()))
    assert r"a\|b \`c\` \[d\]\(http://e\)" in text
    assert "<script" not in text.replace(r"\<script", "") and "| records | 600 | 600 |" in text
    assert "| verdict | cannot be trained on | cannot be trained on |" in text and "70 errors, 70 warnings" in text


def test_visible_shows_what_would_steer() -> None:
    assert visible("a\tb\nc\x1b[0m\u202e\ud800é") == "a\tb\nc␛[0m⟨U+202E⟩⟨U+D800⟩é"


def test_preview_tells_where_tokens_are_hidden_and_how_many() -> None:
    told = preview()
    told.records[0].pieces[0][2].hidden_before = told.records[0].tokens_hidden = 4000
    page = preview_page(told)
    assert page.index(" … 4,000 more tokens that are not shown … ") < page.index('<span class="t cut" title="5 cut"')
    assert "And 4,000 more" not in page
    cut = PreviewedToken(id=5, text="x", state="cut")
    long = [cut] * 150 + [cut.model_copy(update={"hidden_before": 4000})] + [cut] * 150
    told.records[0].pieces = [long]
    assert "<summary>4,181 more tokens that are cut</summary>" in preview_page(told)
