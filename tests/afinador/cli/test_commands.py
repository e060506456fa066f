"""Commands of all kinds against a real service: errors, lists, the hub, the operator's; how light they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
FILES = {"adapter_config.json": b"{}", "weights/adapter_model.safetensors": b"w" * 5000}


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("get job nothing", 3, "nothing"),
        ("get hub-model nothing", 3, "nothing"),
        ("get file nothing", 3, "nothing"),
        ("get base-model tinny", 3, "tiny"),
        ("delete hub-adapter nothing", 3, "nothing"),
        ("watch nothing", 3, "nothing"),
        ("logs nothing --follow", 3, "nothing"),
        ("list event nothing", 3, "nothing"),
        ("create job -basemodel tinny -dataset orders", 3, "tiny"),
        ("create job -basemodel tiny -dataset order", 3, "orders"),
        ("create job -basemodel tiny -dataset orders -epochs 50", 2, "from 1 to 10"),
        ("create job -basemodel tiny -dataset orders --set epoks=3", 2, "epochs"),
        ("create job -basemodel tiny -dataset orders -name mine", 1, "mine"),
        ("create base-model m --source /etc", 1, "/etc holds no config.json"),
        ("list job --status sleeping", 2, "sleeping"),
    ],
)
def test_errors_have_their_exit_code_and_one_message(
    online: Run, job: dict[str, Any], line: str, code: int, words: str
) -> None:
    ran = online(*line.split())
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert words in ran.err and ran.err.count("\n") == 1


def test_keys_that_may_not_are_exit_code_4(online: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFINADOR_OPERATOR_KEY")
    assert online("list", "organization").code == 4
    monkeypatch.setenv("AFINADOR_API_KEY", "af-wrong")
    assert online("list", "job").code == 4
    monkeypatch.delenv("AFINADOR_API_KEY")
    ran = online("list", "job")
    assert ran.code == 4 and "Set AFINADOR_API_KEY." in ran.err


def test_a_service_that_is_not_there_is_said_with_url_and_remedy(
    afinador: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFINADOR_BASE_URL", "http://127.0.0.1:9")
    ran = afinador("list", "fine-tune-job")
    assert (ran.code, ran.out) == (1, "")
    assert "http://127.0.0.1:9" in ran.err and "afinador up" in ran.err and ran.err.count("\n") == 1


def test_lists_show_rows_and_json_the_list_object(online: Run, job: dict[str, Any]) -> None:
    shown = online("list", "fine-tune-job")
    assert shown.out.splitlines()[0].startswith("NAME") and "mine" in shown.out
    listed = json.loads(online("list", "jobs", "--json").out)
    assert (listed["object"], listed["has_more"]) == ("list", False)
    assert [each["id"] for each in listed["data"]] == [job["id"]]
    assert "mine" not in online("list", "job", "--status", "running").out
    assert "tiny" in online("list", "base-model").out
    assert "orders.jsonl" in online("list", "files").out
    assert "Created" in online("list", "event", "mine").out
    assert online("list", "checkpoint", "mine").err == "There are none.\n"


def test_a_list_says_that_there_is_more(online: Run, dataset: Path) -> None:
    for _ in range(3):
        online("create", "file", dataset, "--no-wait")
    ran = online("list", "file", "--limit", "2", "--json")
    listed = json.loads(ran.out)
    assert [file["version"] for file in listed["data"]] == [3, 2] and listed["has_more"]
    rest = json.loads(online("list", "file", "-after", listed["data"][-1]["id"], "--json").out)
    assert [file["version"] for file in rest["data"]] == [1] and not rest["has_more"]
    assert "--after" in online("list", "file", "--limit", "2").err


@pytest.mark.parametrize("noun", ["hub-model", "hub-adapter"])
def test_the_hub_is_shown_fetched_and_listed(
    online: Run, service: Any, job: dict[str, Any], noun: str, tmp_path: Path
) -> None:
    service.publish(job, FILES)
    name = job["spec"]["output"]["name"]
    assert name in online("list", "hub-adapter").out
    empty = online("list", "hub-model")
    assert name not in empty.out
    assert "there is 1 of the other kind: afinador list hub-adapter" in empty.err
    shown = online("get", noun, name).out
    assert "adapter" in shown and job["id"] in shown and "5.0 kB in 2 files" in shown
    chosen = shown[shown.index("hyperparameters") : shown.index("created")].split("\n")
    assert [line.replace("hyperparameters", "").strip() for line in chosen if line.strip()] == [
        "epochs 3",
        "lora_rank 8",
        "All others are defaults; --json shows them.",
    ]
    tree = online("get", noun, name, "--tree").out
    assert tree.splitlines()[1:] == [
        "  adapter_config.json  2 B",
        "  weights/",
        "    adapter_model.safetensors  5.0 kB",
    ]
    ran = online("get", noun, name, "--download", tmp_path / "bot", "--json")
    assert ran.code == 0 and json.loads(ran.out)["kind"] == "adapter"
    for path, content in FILES.items():
        assert (tmp_path / "bot" / path).read_bytes() == content


def test_the_operator_makes_organizations_and_keys(online: Run, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{service.organization}-c"
    assert online("create", "organisation", name).code == 0
    assert name in online("list", "organizations").out
    ran = online("update", "organization", name, "-concurrency-limit", "2", "-priority", "-5")
    assert ran.code == 0 and "2 jobs at once in each pool, priority -5" in ran.out
    assert online("update", "organization", name, "-concurrency-limit", "none").out.count("any number of jobs") == 1
    assert online("update", "organization", name).code == 2
    assert "-5" in online("list", "organizations").out
    ran = online("create", "api-key", "-organization", name, "-name", "laptop")
    key = ran.out.strip()
    listed = json.loads(online("list", "api-key", "--organization", name, "--json").out)["data"]
    assert [each["name"] for each in listed] == ["laptop"] and key not in json.dumps(listed)
    monkeypatch.setenv("AFINADOR_API_KEY", key)
    assert online("list", "job").code == 0
    assert online("delete", "api-key", listed[0]["id"]).code == 0
    assert online("list", "job").code == 4


def test_a_reader_that_has_seen_enough_is_no_error(service: Any, job: dict[str, Any]) -> None:
    environment = os.environ | {"AFINADOR_BASE_URL": service.url, "AFINADOR_API_KEY": service.key}
    line = f"{sys.executable} -m afinador.cli list job --json | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.stderr) == ("0", "")


def test_a_list_imports_no_more_than_it_needs(service: Any, job: dict[str, Any], elsewhere: Path) -> None:
    script = (
        "import sys; from afinador.cli.main import main; main(['list', 'fine-tune-job'])\n"
        "print([name for name in ('pydantic', 'yaml', 'fsspec', 'dotenv') if name in sys.modules])"
    )
    environment = os.environ | {"AFINADOR_BASE_URL": service.url, "AFINADOR_API_KEY": service.key}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "mine" in ran.stdout and ran.stdout.splitlines()[-1] == "[]"


def test_a_plain_call_loads_nothing_that_it_does_not_need(elsewhere: Path) -> None:
    code = (
        "import sys\n"
        "from afinador.cli.main import main\n"
        "assert main(['list', 'fine-tune-job']) == 1\n"
        "found = {'rich', 'click', 'pydantic', 'yaml', 'torch'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    environment = {**os.environ, "AFINADOR_BASE_URL": "http://127.0.0.1:9"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=elsewhere)
