from __future__ import annotations

import json
import threading
import time

import pytest

from afinador.training import log_lines
from registry import jobs
from registry.job_life import checkpoints, events, job_logs
from registry.prefect_runs import job_reports


@pytest.fixture
def job(member, public_base_model) -> dict:
    body = {"model": public_base_model, "training_file": member.upload()["id"], "name": "observed"}
    created = member.http.post("/v1/fine_tuning/jobs", json=body).json()
    # Prefect is away; once that was said, nothing more happens by itself.
    return (
        member.wait(
            "/v1/fine_tuning/jobs/observed/events", lambda page: any("Prefect" in e["message"] for e in page["data"])
        )
        and created
    )


def say(running, job: dict, message: str, **more: object) -> None:
    with running.memory.database.session() as session:
        events.append(session, job["id"], message, **more)


def claim(running, job: dict) -> int:
    with running.memory.database.session() as session:
        claimed = jobs.claim(session, job["id"], flow_run_id="run", process_id=1, process_started_at=1.0, host="here")
        return claimed.attempt


def finish(running, job: dict, attempt: int) -> None:
    with running.memory.database.session() as session:
        assert jobs.finish(session, job["id"], attempt, "succeeded", message="The job is done")


def messages(text: str) -> list[str]:
    return [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]


def test_events_are_newest_first_with_objects_as_data(member, running, job):
    say(running, job, "Step 1: train loss=2.5", type="metrics", data={"step": 1, "train_loss": 2.5})
    page = member.http.get("/v1/fine_tuning/jobs/observed/events", params={"limit": 1}).json()
    assert page["has_more"] is True
    assert page["data"][0]["object"] == "fine_tuning.job.event"
    assert (page["data"][0]["type"], page["data"][0]["data"]["train_loss"]) == ("metrics", 2.5)
    older = member.http.get(f"/v1/fine_tuning/jobs/{job['id']}/events", params={"after": page["data"][0]["id"]}).json()
    assert older["data"][-1]["message"].startswith("Created fine-tuning job")
    assert all(event["data"] == {} for event in older["data"])


def test_metrics_are_oldest_first(member, running, job):
    for step in (1, 2):
        say(running, job, f"Step {step}", type="metrics", data={"step": step, "train_loss": 1 / step})
    page = member.http.get("/v1/fine_tuning/jobs/observed/metrics").json()
    assert page == {
        "object": "list", "data": [{"step": 1, "train_loss": 1.0}, {"step": 2, "train_loss": 0.5}], "has_more": False,
    }  # fmt: skip


def test_figures_that_json_does_not_know_become_null(member, running, job):
    say(running, job, "Step 1", type="metrics", data={"step": 1, "train_loss": float("nan")})
    assert member.http.get("/v1/fine_tuning/jobs/observed/metrics").json()["data"][0]["train_loss"] is None
    assert member.http.get("/v1/fine_tuning/jobs/observed/events").json()["data"][0]["data"]["train_loss"] is None


def test_checkpoints_are_newest_first_and_are_models(member, running, job):
    with running.memory.database.session() as session:
        row = jobs.get(session, job["organization_id"], job["id"])
        for step in (5, 10):
            checkpoints.register(session, row, step, f"checkpoints/{step}", {"train_loss": 1.5}, 1000)
    page = member.http.get("/v1/fine_tuning/jobs/observed/checkpoints").json()
    assert [row["step_number"] for row in page["data"]] == [10, 5]
    assert page["data"][0]["metrics"] == {"step": 10, "train_loss": 1.5}
    assert page["data"][0]["fine_tuning_job_id"] == job["id"]
    name = page["data"][0]["fine_tuned_model_checkpoint"]
    assert name.endswith(":ckpt-step-10")
    model = member.http.get(f"/v1/models/{name}").json()
    assert (model["id"], model["type"]) == (name, "fine-tuned")
    refused = member.http.delete(f"/v1/models/{name}")
    assert refused.status_code == 400
    assert "Checkpoints belong to their job" in refused.json()["error"]["message"]


def test_log_is_text_and_empty_before_there_is_one(member, running, job):
    answer = member.http.get("/v1/fine_tuning/jobs/observed/logs")
    assert (answer.status_code, answer.text) == (200, "")
    path = running.memory.settings.runs_dir / job["id"] / "log.txt"
    path.parent.mkdir(parents=True)
    path.write_text("línea 1\nlínea 2\n", encoding="utf-8")
    answer = member.http.get("/v1/fine_tuning/jobs/observed/logs")
    assert answer.text == "línea 1\nlínea 2\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_following_events_gives_each_once_until_the_job_has_ended(member, running, job):
    attempt = claim(running, job)
    received: list[str] = []

    def follow() -> None:
        with member.http.stream("GET", "/v1/fine_tuning/jobs/observed/events", params={"follow": True}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            received.extend(line for line in answer.iter_lines() if line.startswith("data: "))

    follower = threading.Thread(target=follow)
    follower.start()
    for number in range(3):
        say(running, job, f"Step {number}")
        time.sleep(0.3)
    finish(running, job, attempt)
    follower.join(15)
    assert not follower.is_alive()
    assert received[-1] == "data: [DONE]"
    said = [json.loads(line.removeprefix("data: "))["message"] for line in received[:-1]]
    assert said[0].startswith("Created fine-tuning job")
    assert said[-4:] == ["Step 0", "Step 1", "Step 2", "The job is done"]
    assert len(said) == len(set(said))


def test_following_many_events_loses_none_and_goes_on_where_it_broke(member, running, job):
    for number in range(250):
        say(running, job, f"Event {number}")
    finish(running, job, claim(running, job))
    path = "/v1/fine_tuning/jobs/observed/events?follow=true"
    whole = messages(member.http.get(path).text)
    assert sum("Event " in message for message in whole) == 250
    middle = json.loads(whole[100])["id"]
    rest = messages(member.http.get(path, headers={"last-event-id": middle}).text)
    assert rest == whole[101:]


def test_log_is_read_from_the_storage_when_its_run_directory_is_gone(member, running, job):
    path = job_logs.path_of(running.memory, job["id"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("kept lines\n")
    job_logs.keep(running.memory, job["organization_id"], job["id"])
    path.unlink()
    assert member.http.get("/v1/fine_tuning/jobs/observed/logs").text == "kept lines\n"
    finish(running, job, claim(running, job))
    followed = messages(member.http.get("/v1/fine_tuning/jobs/observed/logs", params={"follow": True}).text)
    assert followed == ['{"line": "kept lines", "attempt": null, "rank": null}', "[DONE]"]


def test_resources_are_answered_while_the_job_runs_and_from_the_storage_later(member, running, job):
    where = "/v1/fine_tuning/jobs/observed/resources"
    assert member.http.get(where).json() == {"object": "list", "data": [], "has_more": False}
    path = job_logs.path_of(running.memory, job["id"], job_logs.RESOURCES)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"cpu_percent": 99.5, "memory_bytes": 10**9, "timestamp_ms": moment} for moment in (1, 2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"cpu_perc')
    assert member.http.get(where).json()["data"] == rows
    job_logs.keep(running.memory, job["organization_id"], job["id"])
    path.unlink()
    assert member.http.get(where).json()["data"] == rows


def test_following_the_log_gives_lines_as_they_are_written(member, running, job):
    attempt = claim(running, job)
    path = running.memory.settings.runs_dir / job["id"] / "log.txt"
    path.parent.mkdir(parents=True)
    received: list[str] = []

    def follow() -> None:
        with member.http.stream("GET", "/v1/fine_tuning/jobs/observed/logs", params={"follow": True}) as answer:
            received.extend(line for line in answer.iter_lines() if line.startswith("data: "))

    follower = threading.Thread(target=follow)
    follower.start()
    with path.open("a", encoding="utf-8") as log:
        log.write("one")
    log_lines.open_attempt(path, 2, 0)
    with path.open("a", encoding="utf-8") as log:
        for piece in ("tw", "o\nthr", "ee"):
            log.write(piece)
            log.flush()
            time.sleep(0.5)
    finish(running, job, attempt)
    follower.join(15)
    heading = json.loads(received[1].removeprefix("data: "))
    assert heading.pop("line").startswith("=== attempt 2, rank 0, ") and heading == {"attempt": 2, "rank": 0}
    assert [json.loads(line.removeprefix("data: ")) for line in (received[0], *received[2:-1])] == [
        {"line": "one", "attempt": None, "rank": None},
        {"line": "two", "attempt": 2, "rank": 0},
        {"line": "three", "attempt": 2, "rank": 0},
    ]
    assert received[-1] == "data: [DONE]"


def test_following_ends_when_the_service_goes_down(member, running, job):
    seen = threading.Event()

    def follow() -> None:
        with member.http.stream("GET", "/v1/fine_tuning/jobs/observed/events", params={"follow": True}) as answer:
            for _ in answer.iter_lines():
                seen.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert seen.wait(10)
    running.service.stopping.set()
    follower.join(5)
    running.service.stopping.clear()
    assert not follower.is_alive()


def test_report_is_a_page_that_stands_alone_in_each_state(member, running, job):
    queued = member.http.get("/v1/fine_tuning/jobs/observed/report")
    assert queued.status_code == 200
    assert queued.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in queued.headers["content-security-policy"]
    assert "orders.jsonl" in queued.text and "Curves" not in queued.text
    attempt = claim(running, job)
    say(running, job, "Step 1", type="metrics", data={"step": 1, "train_loss": 2.5})
    say(running, job, "Loaded <b>tiny</b>", data={"environment": {"device": "cpu", "threads": 2}})
    with running.memory.database.session() as session:
        row = jobs.get(session, job["organization_id"], job["id"])
        checkpoints.register(session, row, 5, "checkpoints/5", {"train_loss": 1.5}, 1000)
    finish(running, job, attempt)
    ended = member.http.get(f"/fine_tuning/jobs/{job['id']}/report").text
    assert "Curves" in ended and "Loaded &lt;b&gt;tiny&lt;/b&gt;" in ended and ":ckpt-step-5" in ended
    assert "step 1: train 2.5" in ended


def test_report_of_an_ended_job_is_kept_in_the_storage(member, running, job):
    attempt = claim(running, job)
    assert job_reports.keep(running.memory, job["id"]) is None
    job_logs.path_of(running.memory, job["id"]).parent.mkdir(parents=True)
    finish(running, job, attempt)
    page = job_reports.keep(running.memory, job["id"])
    kept = b"".join(running.memory.storage.chunks(f"{job['organization_id']}/jobs/{job['id']}/report.html"))
    assert page.read_bytes() == kept and b"succeeded" in kept
