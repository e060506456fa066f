"""The commands against a real service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

Run = Callable[..., Any]
Background = Callable[[Callable[[], None]], None]
FILES = {"adapter_config.json": b"{}", "weights/adapter_model.safetensors": b"w" * 5000}


@pytest.fixture
def job(online: Run, dataset: Path) -> dict[str, Any]:
    ran = online("create", "fine-tune-job", "-basemodel", "tiny", "-dataset", dataset, "-name", "mine", "--json")
    assert ran.code == 0, ran.err
    while online("get", "file", "orders").out.find("processed") < 0:
        time.sleep(0.05)
    return dict(json.loads(ran.out))


def test_the_specification_s_example_runs(online: Run, dataset: Path) -> None:
    named = dataset.rename(dataset.with_name("qa_data.jsonl"))
    assert online("create", "file", named).code == 0
    line = "create fine-tune-job -basemodel tiny -dataset qa_data -output-model bert-qa -epochs 3 -lora-rank 16"
    ran = online(*line.split(), "--json")
    assert ran.code == 0, ran.err
    job = json.loads(ran.out)
    assert job["spec"]["hyperparameters"]["epochs"] == 3 and job["spec"]["hyperparameters"]["lora_rank"] == 16
    assert job["output_model"] == "bert-qa"
    shown = online("get", "fine-tuning-job", job["id"])
    assert shown.code == 0 and job["name"] in shown.out


def test_a_created_job_is_named_on_standard_output_alone(online: Run, dataset: Path) -> None:
    ran = online("create", "job", "-model", "tiny", "-dataset", dataset, "-name", "one")
    assert (ran.code, ran.out) == (0, "one\n")
    assert "Uploaded" in ran.err and "afinador watch one" in ran.err


def test_options_win_over_set_and_set_over_the_file(online: Run, dataset: Path, elsewhere: Path) -> None:
    config = elsewhere / "advanced.yaml"
    config.write_text("epochs: 1\nlora_rank: 8\nwarmup_steps: 7\nweight_decay: 0.5\n")
    ran = online(
        *["create", "job", "-basemodel", "tiny", "-dataset", dataset, "-config", config, "--json"],
        *["--set", "epochs=2", "--set", "lora_rank=4", "--set", "seed=11", "-epochs", "3", "-lr", "1e-4"],
        *["-tag", "a", "-tag", "b", "-metadata", "team=x", "-suffix", "s1", "-domain", "orders"],
    )
    assert ran.code == 0, ran.err
    made = json.loads(ran.out)
    resolved = made["spec"]["hyperparameters"]
    values = [resolved[key] for key in ("epochs", "lora_rank", "warmup_steps", "weight_decay", "learning_rate")]
    assert values == [3, 4, 7, 0.5, 1e-4]
    assert made["spec"]["sources"]["warmup_steps"] == "file" and made["spec"]["sources"]["lora_rank"] == "request"
    assert (made["seed"], made["tags"], made["metadata"]) == (11, ["a", "b"], {"team": "x"})
    assert (made["suffix"], made["domain"]) == ("s1", "orders")


def test_quantised_tuning_is_an_option_away(online: Run, dataset: Path) -> None:
    line = ["create", "fine-tune-job", "-basemodel", "tiny", "-dataset", dataset, "-method", "qlora", "--json"]
    for bits, given in ((8, []), (4, ["-quantization-bits", "4"])):
        made = json.loads(online(*line, *given).out)
        assert (made["tuning_method"], made["spec"]["output"]["kind"]) == ("qlora", "adapter")
        assert made["hyperparameters"]["quantization_bits"] == bits


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("-basemodel bert-base-uncased", 3, "Registered are: tiny."),
        ("-epochs 50", 2, "from 1 to 10"),
        ("--set epoks=3", 2, "'epochs'"),
        ("--set epochs=3 --set n_epochs=4", 2, "--set gives epochs twice"),
        ("--set packing=perhaps", 2, "packing is 'perhaps'; it must be true or false"),
        ("--set output_dir=here", 2, "goes to the hub"),
        ("-method qlora -quantization-bits 5", 2, "allowed are: 4, 8"),
        ("-quantization-bits 4", 2, "belongs to qlora"),
        ("-method prefix_tuning", 2, "this version trains"),
        ("-output-model a/b", 2, "output_model"),
        ("-validation-dataset nope.csv", 3, "-validation-dataset 'nope.csv' is neither a file on this disk"),
    ],
)
def test_a_refused_job_leaves_no_file_behind(online: Run, dataset: Path, change: str, code: int, words: str) -> None:
    model = [] if "basemodel" in change else ["-basemodel", "tiny"]
    ran = online("create", "job", *model, "-dataset", dataset, *change.split())
    assert (ran.code, ran.out) == (code, "") and words in ran.err, ran.err
    assert json.loads(online("list", "file", "--json").out)["data"] == []


def test_set_reads_types_and_the_job_shows_where_values_came_from(online: Run, dataset: Path, elsewhere: Path) -> None:
    config = elsewhere / "advanced.yaml"
    config.write_text("seed: 9\nhyperparameters: {weight_decay: 0.5}\noptimizer: adafactor\n")
    ran = online(
        *["create", "job", "-basemodel", "tiny", "-dataset", dataset, "-name", "typed", "-config", config, "--json"],
        *["--set", "packing=true", "--set", "target_modules=[q_proj, v_proj]", "--set", "eval_steps=null"],
        *["--set", "learning_rate=2e-4", "--set", "lora_rank=8"],
    )
    assert ran.code == 0, ran.err
    spec = json.loads(online("get", "fine-tuning-job", "typed", "--json").out)["spec"]
    names = ("packing", "target_modules", "eval_steps", "learning_rate", "lora_rank", "weight_decay", "optimizer")
    assert [(spec["hyperparameters"][name], spec["sources"][name]) for name in names] == [
        *[(True, "request"), (["q_proj", "v_proj"], "request"), (None, "request"), (2e-4, "request"), (8, "request")],
        *[(0.5, "file"), ("adafactor", "file")],
    ]
    shown = [line.strip() for line in online("get", "fine-tuning-job", "typed").out.splitlines()]
    assert {"packing yes (request)", "optimizer adafactor (file)", "seed 9 (file)"} <= set(shown)
    config.write_text("epochs: 1\nhyperparameters: {epochs: 2}\n")
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", dataset, "-config", config)
    assert ran.code == 2 and "gives 'epochs' twice" in ran.err


def test_ranges_that_the_operator_has_widened_hold(
    online: Run, service: Any, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(service.memory.operator, "limits", {"epochs": {"maximum": 100}})
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", dataset, "-epochs", "50")
    assert ran.code == 0, ran.err


def test_the_same_bytes_under_the_same_name_are_uploaded_once(online: Run, dataset: Path) -> None:
    line = ["create", "job", "-basemodel", "tiny", "-dataset", dataset, "--json"]
    first = json.loads(online(*line).out)
    again = online(*line)
    assert json.loads(again.out)["dataset"] == first["dataset"] and "is there already as" in again.err
    original = dataset.read_text()
    dataset.write_text(original * 2)
    assert json.loads(online(*line).out)["dataset"] != first["dataset"]
    dataset.write_text(original)
    assert json.loads(online(*line).out)["dataset"] == first["dataset"], "an older version does as well"
    assert [file["version"] for file in json.loads(online("list", "file", "--json").out)["data"]] == [2, 1]


def test_a_data_set_that_is_nowhere_is_said_to_be_neither_here_nor_there(online: Run, dataset: Path) -> None:
    online("create", "file", dataset)
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", "ordrs.jsonl")
    assert ran.code == 3
    assert "'ordrs.jsonl' is neither a file on this disk" in ran.err and "Did you mean 'orders.jsonl'?" in ran.err


def test_a_waiting_job_shows_why_and_a_job_the_hyperparameters_that_were_chosen(
    online: Run, service: Any, job: dict[str, Any]
) -> None:
    from registry import jobs

    attempt = service.run_job(job["id"])
    assert "running (training)" in online("get", "job", "mine").out
    with service.memory.database.session() as session:
        assert jobs.requeue(session, job["id"], attempt, "The worker died")
    shown = online("get", "job", "mine").out
    assert "The worker died. The job goes on as attempt 2." in shown and "2/4" not in shown
    assert "2/4" not in online("list", "job").out
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", "orders", "-name", "chosen", "-lora-rank", "16")
    assert ran.code == 0, ran.err
    lines = [line.strip() for line in online("get", "job", "chosen").out.splitlines()]
    assert "lora_rank 16 (request)" in lines and "All others are defaults; --json shows them." in lines
    assert any(line.endswith("epochs 3") for line in lines) and not any("weight_decay" in line for line in lines)


def test_a_whole_request_may_be_in_the_file(online: Run, dataset: Path, elsewhere: Path) -> None:
    config = dataset.with_name("job.json")
    request = {"base_model": "tiny", "training_file": dataset.name, "hyperparameters": {"epochs": 2}, "name": "x"}
    config.write_text(json.dumps(request))
    ran = online("create", "job", "-config", config, "-name", "y", "--json")
    assert ran.code == 0, ran.err
    made = json.loads(ran.out)
    assert (made["name"], made["spec"]["hyperparameters"]["epochs"]) == ("y", 2)


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


def test_a_job_shows_progress_metrics_and_where_its_result_lies(
    online: Run, service: Any, job: dict[str, Any], tmp_path: Path
) -> None:
    attempt = service.run_job(job["id"])
    running = online("get", "fine-tuning-job", "mine").out
    assert "2/4 (50 %)" in running and "training" in running and "5 s" in running
    service.publish(job, FILES)
    service.end_job(job["id"], attempt)
    ended = online("get", "fine-tuning-job", "mine")
    assert "succeeded" in ended.out and "exact match" in ended.out and "0.75" in ended.out
    assert "version 1 of the hub-adapter" in ended.out
    assert "in MLflow" in ended.out and "models:/" in ended.out and "--download" in ended.err
    assert json.loads(online("get", "job", "mine", "--json").out)["metrics"]["tuned"]["exact_match"] == 0.75


def test_cancelling_stops_a_job_and_an_ended_one_stays(online: Run, service: Any, job: dict[str, Any]) -> None:
    attempt = service.run_job(job["id"])
    assert "stops after its current step" in online("cancel", "fine-tuning-job", "mine").out
    service.end_job(job["id"], attempt)
    ran = online("cancel", "fine-tuning-job", "mine")
    assert ran.code == 1 and "succeeded" in ran.err


def test_pausing_and_resuming_say_what_comes_next(online: Run, service: Any, job: dict[str, Any]) -> None:
    assert "afinador resume fine-tuning-job mine" in online("pause", "fine-tuning-job", "mine").out
    shown = online("get", "job", "mine")
    assert "paused before it ran" in shown.out and "afinador resume fine-tuning-job mine" in shown.err
    assert "is queued" in online("resume", "job", "mine").out
    attempt = service.run_job(job["id"])
    assert "is pausing; it stops after its current step" in online("pause", "job", "mine").out
    assert "goes on as soon as it has stopped" in online("resume", "job", "mine").out
    service.end_job(job["id"], attempt)
    ran = online("pause", "job", "mine")
    assert ran.code == 1 and "has succeeded, so it cannot be paused" in ran.err


def test_watching_a_paused_job_says_how_to_resume_it(
    online: Run, service: Any, job: dict[str, Any], in_background: Background
) -> None:
    online("pause", "job", "mine")

    def go_on() -> None:
        time.sleep(0.5)
        headers = {"authorization": f"Bearer {service.key}"}
        httpx.post(f"{service.url}/v1/fine_tuning/jobs/mine/resume", headers=headers).raise_for_status()
        service.end_job(job["id"], service.run_job(job["id"]))

    in_background(go_on)
    ran = online("watch", "mine")
    assert ran.code == 0
    assert ran.err.count("It goes on with: afinador resume fine-tuning-job mine") == 1


def test_watching_ends_with_the_comparison(
    online: Run, service: Any, job: dict[str, Any], in_background: Background
) -> None:
    attempt = service.run_job(job["id"])
    in_background(lambda: (time.sleep(0.5), service.end_job(job["id"], attempt))[1])
    ran = online("watch", "mine")
    assert ran.code == 0
    assert [line.split() for line in ran.out.splitlines()][:2] == [["METRIC", "BASE", "TUNED"], ["loss", "3.2", "0.4"]]
    assert "training: step 2/4, loss 1.0000, 5 s left" in ran.err
    assert "The job has succeeded." in ran.err and "Step 1" not in ran.err
    assert "afinador get hub-adapter" in ran.err


def test_watching_a_job_that_fails_is_exit_code_1(online: Run, service: Any, job: dict[str, Any]) -> None:
    service.end_job(job["id"], service.run_job(job["id"]), "failed", "No memory left; use a smaller micro_batch_size.")
    ran = online("watch", "mine", "--json")
    assert ran.code == 1 and "smaller micro_batch_size" in ran.err
    assert json.loads(ran.out)["status"] == "failed"
    assert "smaller micro_batch_size" in online("get", "job", "mine").out


def test_create_can_watch(online: Run, service: Any, dataset: Path, in_background: Background) -> None:
    from registry import jobs

    def work() -> None:
        for _ in range(200):
            with service.memory.database.session() as session:
                rows, _ = jobs.list_page(session, service.organization_id, after=None, limit=1)
                found = [row.id for row in rows if row.status == "queued"]
            if found:
                service.end_job(found[0], service.run_job(found[0]))
                return
            time.sleep(0.05)

    in_background(work)
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", dataset, "--watch")
    assert ran.code == 0 and ran.out.startswith("METRIC")


def test_logs_are_shown_and_followed(online: Run, service: Any, job: dict[str, Any], in_background: Background) -> None:
    log = service.memory.settings.runs_dir / job["id"] / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("first\n")
    assert online("logs", "mine").out == "first\n"
    attempt = service.run_job(job["id"])

    def write() -> None:
        time.sleep(0.3)
        log.write_text("first\nsecond\n")
        service.end_job(job["id"], attempt)

    in_background(write)
    assert online("logs", "mine", "--follow").out == "first\nsecond\n"


@pytest.mark.parametrize("noun", ["hub-model", "hub-adapter"])
def test_the_hub_is_shown_fetched_and_listed(
    online: Run, service: Any, job: dict[str, Any], noun: str, tmp_path: Path
) -> None:
    service.publish(job, FILES)
    name = job["spec"]["output"]["name"]
    assert name in online("list", "hub-adapter").out
    assert name not in online("list", "hub-model").out
    shown = online("get", noun, name).out
    assert "adapter" in shown and job["id"] in shown and "5.0 kB in 2 files" in shown
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


def test_a_saved_spec_is_made_of_a_file_and_starts_jobs(online: Run, dataset: Path, elsewhere: Path) -> None:
    request = elsewhere / "job.yaml"
    request.write_text(f"base_model: tiny\ndataset: {dataset}\noutput_model: bot\nwarmup_steps: 7\nepochs: 2\n")
    saved = online("create", "job-spec", "nightly", request)
    assert (saved.code, saved.out) == (0, "nightly\n"), saved.err
    assert "Uploaded" in saved.err and "--spec nightly" in saved.err
    assert online("create", "spec", "nightly", request, "--no-retrain").code == 1
    listed = online("list", "job-specs")
    assert "nightly" in listed.out and dataset.name in listed.out
    shown = json.loads(online("get", "job-spec", "nightly", "--json").out)
    assert shown["request"]["training_file"] == dataset.name, "by name, for the newest version each time"
    assert shown["request"]["config"] == {"warmup_steps": 7, "epochs": 2} and shown["retrain_on_update"] is True
    assert "on a new version" in online("get", "spec", "nightly").out
    job = json.loads(online("create", "job", "--spec", "nightly", "-epochs", "3", "--json").out)
    assert (job["output_model"], job["hyperparameters"]["epochs"]) == ("bot", 3)
    assert job["spec"]["hyperparameters"]["warmup_steps"] == 7
    assert online("create", "job", "--spec", "nigthly").code == 3
    request.write_text(
        f"base_model: tiny\ndataset: {dataset}\nhyperparameters: {{n_epochs: 2, learning_rate_multiplier: 2}}\n"
    )
    assert online("create", "job-spec", "other", request).code == 0
    ran = online("create", "job", "--spec", "other", "-epochs", "3", "-learning-rate", "1e-4", "--json")
    assert ran.code == 0, ran.err
    given = json.loads(ran.out)["spec"]["hyperparameters"]
    assert (given["epochs"], given["learning_rate"]) == (3, 1e-4)
    assert online("delete", "job-spec", "nightly").out == "Deleted job spec nightly.\n"
    assert online("get", "job-spec", "nightly").code == 3


def test_files_are_uploaded_checked_fetched_and_deleted(online: Run, dataset: Path, elsewhere: Path) -> None:
    ran = online("create", "file", dataset)
    file_id = ran.out.strip()
    assert ran.code == 0 and file_id.startswith("file-")
    shown = online("get", "file", file_id).out
    assert "processed" in shown and "12" in shown
    assert online("get", "file", file_id, "--download", elsewhere).code == 0
    assert (elsewhere / "orders.jsonl").read_bytes() == dataset.read_bytes()
    assert online("delete", "file", file_id).out == f"Deleted file {file_id}.\n"
    assert online("get", "file", file_id).code == 3


def test_a_file_that_cannot_be_trained_on_is_exit_code_1(online: Run, dataset: Path) -> None:
    dataset.write_text('{"text": "a"\n')
    ran = online("create", "file", dataset, "--json")
    assert ran.code == 1 and json.loads(ran.out)["status"] == "error"
    assert "cannot be trained on: " in ran.err and "ine 1" in ran.err


def test_base_models_come_and_go(online: Run, service: Any, elsewhere: Path) -> None:
    folder = service.models / service.organization
    (elsewhere / "link").symlink_to(folder)
    ran = online("create", "base-model", "second", "-source", "link", "--json")
    assert ran.code == 0 and json.loads(ran.out)["status"] == "ready", ran.err
    assert "LlamaForCausalLM" in online("get", "base-model", "second").out
    assert "second" in online("list", "base-models").out
    assert online("delete", "base-model", "second").code == 0
    assert online("get", "base-model", "second").code == 3


def test_a_folder_of_a_base_model_is_looked_for_where_the_command_runs(
    online: Run, service: Any, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = online("create", "base-model", "second", "--source", "no/model")
    assert ran.code == 2 and f"there is no such folder ({elsewhere / 'no/model'})" in ran.err
    monkeypatch.setenv("HOME", str(service.models))
    ran = online("create", "base-model", "second", "--source", f"~/{service.organization}")
    assert ran.code == 0, ran.err


def test_a_folder_that_the_service_may_not_read_is_uploaded(online: Run, service: Any, elsewhere: Path) -> None:
    outside = elsewhere / "outside"
    shutil.copytree(service.models / service.organization, outside)
    (outside / "pytorch_model.bin").write_bytes(b"pickle")
    (outside / "modeling_mine.py").write_text("raise SystemExit")
    ran = online("create", "base-model", "third", "--source", "outside", "--json")
    assert ran.code == 0, ran.err
    model = json.loads(ran.out)
    assert (model["status"], model["source"], model["bytes_done"]) == ("ready", "upload", model["bytes"])
    assert "Left out: pytorch_model.bin (this form of weights can run code when it is read)." in ran.err
    assert "Left out: modeling_mine.py (a model's own code is never run)." in ran.err
    in_place = online("get", "base-model", "tiny", "--json")
    assert json.loads(in_place.out)["sha256"] == model["sha256"], "where the bytes came from makes no difference"
    assert online("create", "job", "-basemodel", "third", "-dataset", "nothing").code == 3, "only the data are missing"


def test_a_folder_without_safetensors_is_refused_before_it_is_sent(online: Run, service: Any, elsewhere: Path) -> None:
    shutil.copytree(service.models / service.organization, elsewhere / "old")
    (elsewhere / "old" / "model.safetensors").rename(elsewhere / "old" / "pytorch_model.bin")
    ran = online("create", "base-model", "old", "--source", "old")
    assert ran.code == 1 and "pytorch_model.bin" in ran.err and "save_pretrained" in ran.err
    assert online("get", "base-model", "old").code == 3


def test_the_operator_makes_organizations_and_keys(online: Run, service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{service.organization}-c"
    assert online("create", "organisation", name).code == 0
    assert name in online("list", "organizations").out
    ran = online("create", "api-key", "-organization", name, "-name", "laptop")
    key = ran.out.strip()
    listed = json.loads(online("list", "api-key", "--organization", name, "--json").out)["data"]
    assert [each["name"] for each in listed] == ["laptop"] and key not in json.dumps(listed)
    monkeypatch.setenv("AFINADOR_API_KEY", key)
    assert online("list", "job").code == 0
    assert online("delete", "api-key", listed[0]["id"]).code == 0
    assert online("list", "job").code == 4


def test_a_checkpoint_is_shown_and_fetched(online: Any, service: Any, job: dict[str, Any], tmp_path: Path) -> None:
    service.keep_checkpoint(job["id"], 500, {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights"})
    assert "adapter_config.json" in online("get", "checkpoint", job["name"], "500").out
    shown = online("get", "checkpoint", job["name"], "500", "--download", str(tmp_path / "step"), "--json")
    assert shown.code == 0 and len(json.loads(shown.out)["data"]) == 2
    assert (tmp_path / "step" / "adapter_model.safetensors").read_bytes() == b"weights"
    missing = online("get", "checkpoint", job["name"], "7")
    assert missing.code == 3 and "by step: 500" in missing.err


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
