"""A data set prepared by the whole stack, and trained on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_a_file_is_prepared_by_the_service(stack: Any, quick: tuple[Path, Path], tmp_path: Path) -> None:
    with stack.http() as http:
        content = ("letters.jsonl", quick[0].read_bytes())
        source = http.post("/files", files={"file": content}, data={"purpose": "fine-tune"}).raise_for_status().json()
    pipeline = tmp_path / "steps.yaml"
    pipeline.write_text("steps:\n  - {type: convert, to: messages}\n  - {type: split, validation: 0.25}\n")
    words = ("prepare", "dataset", "letters", "--pipeline", str(pipeline), "--output", "chats.jsonl", "--json")
    ran = stack.command_line(*words)
    assert ran.returncode == 0, ran.stderr
    made = json.loads(ran.stdout)
    assert [(file["filename"], file["part"], file["records"]) for file in made["output_files"]] == [
        ("chats-train.jsonl", "train", 36),
        ("chats-validation.jsonl", "validation", 12),
    ]
    with stack.http() as http:
        for file in made["output_files"]:
            while (kept := http.get(f"/files/{file['id']}").raise_for_status().json())["status"] == "uploaded":
                time.sleep(0.2)
            assert (kept["status"], kept["lineage"]["file_id"]) == ("processed", source["id"])
        lines = http.get(f"/files/{made['output_files'][0]['id']}/content").raise_for_status().text.splitlines()
    assert [message["role"] for message in json.loads(lines[0])["messages"]] == ["user", "assistant"]
