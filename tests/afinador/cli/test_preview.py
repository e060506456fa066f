"""The command that shows records as the model will see them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_preview_is_marked_by_signs_or_listed_with_ids(
    afinador: Run, dataset: Path, folder: Path, tmp_path: Path
) -> None:
    ran = afinador("preview", "dataset", dataset, "--base-model", folder, "--records", 1)
    assert ran.code == 0 and "Human: Question 0?\nAssistant:{+ Answer 0.</s>+}" in ran.out
    assert "line 2" not in ran.out
    assert "Shown: 1 of 12 records, " in ran.out
    listed = afinador("preview", "dataset", dataset, "--base-model", folder, "--records", 1, "--ids").out
    assert "trained  '</s>'" in listed and " masked   '" in listed
    page = tmp_path / "preview.html"
    ran = afinador("preview", "dataset", dataset, "--base-model", folder, "--html", page)
    assert ran.out == "" and 'class="t trained"' in page.read_text()
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "q", "completion": "a"}\n')
    ran = afinador("preview", "dataset", pairs, "--base-model", folder, "--task", "sequence_classification")
    assert ran.code == 1 and "sequence_classification learns from the fields 'text' and 'label'" in ran.err
    good = dataset.read_text()
    assert "Left out" not in afinador("preview", "dataset", dataset, "--base-model", folder).out
    dataset.write_text(f'{good}no json\n{{"prompt": ""}}\n')
    ran = afinador("preview", "dataset", dataset, "--base-model", folder, "--records", 20)
    assert ran.code == 0 and ran.out.endswith(
        "\n\nLeft out: 2 records up to here that cannot be used; validate dataset says why.\n"
    )
    dataset.write_text("no json\n")
    ran = afinador("preview", "dataset", dataset, "--base-model", folder)
    assert ran.code == 1 and "Line 1 is no JSON" in ran.err
    ran = afinador("preview", "dataset", dataset, "--base-model", folder, "--task", "seq2seq_lm")
    assert ran.code == 1 and "causal_lm" in ran.err


@pytest.mark.parametrize("options", [(), ("--ids",)])
def test_the_answer_to_a_long_prompt_is_shown(
    options: tuple[str, ...], afinador: Run, folder: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.jsonl"
    long.write_text(json.dumps({"prompt": "many words " * 6000, "completion": "THE ANSWER"}) + "\n")
    ran = afinador("preview", "dataset", long, "--base-model", folder, "--max-length", 64, *options)
    shown, _, end = ran.out.partition(" more tokens …")
    assert ran.code == 0 and shown.rpartition("… ")[2].replace(",", "").isdigit()
    assert "trained  '</s>'" in end if options else "{+ THE ANSWER</s>+}" in end


@pytest.mark.parametrize(
    ("template", "code", "said"),
    [
        ("{% for m in messages %}{{ m.content }", 1, "chat template of the base model cannot be used"),
        ("{{ raise_exception('no') }}", 1, "refuses this conversation"),
        ("{% for m in messages %}{{ m.content | upper }}</s>{% endfor %}", 0, "warning: Record at line 1: the user's"),
    ],
)
def test_a_preview_fails_where_no_record_can_be_trained_on_and_tells_what_the_template_leaves_out(
    afinador: Run, folder: Path, tmp_path: Path, template: str, code: int, said: str
) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "Where is it?", "completion": "Here."}\n')
    base = shutil.copytree(folder, tmp_path / "base")
    (base / "chat_template.jinja").write_text(template)
    ran = afinador("preview", "dataset", tmp_path / "a.jsonl", "--base-model", base)
    assert ran.code == code and said in ran.out + ran.err
    judged = afinador("validate", "dataset", tmp_path / "a.jsonl", "--base-model", base)
    assert judged.code == code and said.removeprefix("warning: ") in judged.out
