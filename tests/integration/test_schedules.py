"""Jobs that Prefect starts: from its form, by the clock, by a new version of a data set, and what goes wrong there."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

QUICK = {"epochs": 1, "batch_size": 16, "learning_rate": 5e-4}
WAITS_FOR_A_GPU = "gpu"
"""No such worker is online, so that a job of this pool is submitted and takes no processor."""
TIMEOUT_SECONDS = 150


def prefect(stack: Any, method: str, path: str, body: Any = None) -> Any:
    """Ask Prefect, again while its SQLite file is locked."""
    end = time.monotonic() + 90
    while True:
        try:
            answer = httpx.request(method, f"{stack.prefect_url}{path}", json=body, timeout=20)
        except httpx.ReadTimeout:
            assert time.monotonic() < end
            continue
        if answer.status_code != 503 or time.monotonic() > end:
            return answer.raise_for_status().json() if answer.content else None
        time.sleep(0.3)


def announce(stack: Any, payload: dict[str, Any], *, times: int = 1) -> None:
    """Tell Prefect of a version, as the service does, or somebody by hand; in one request, however often."""
    event = {
        "event": "afinador.dataset.updated",
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": f"afinador.dataset.{payload.get('name')}", "afinador.retrains": "yes"},
        "payload": payload,
    }
    prefect(stack, "POST", "/events", [event | {"id": str(uuid4())} for _ in range(times)])


def start_run(stack: Any, request: Any, organization: Any = "default", deployment: str = "form") -> str:
    """Start a run of a deployment, as the UI does, and return its id."""
    identity = prefect(stack, "GET", f"/deployments/name/submit-fine-tune/{deployment}")["id"]
    body = {"parameters": {"organization": organization, "request": request}, "idempotency_key": uuid4().hex}
    return str(prefect(stack, "POST", f"/deployments/{identity}/create_flow_run", body)["id"])


def ended(stack: Any, run_id: str) -> dict[str, Any]:
    end = time.monotonic() + TIMEOUT_SECONDS
    while (run := prefect(stack, "GET", f"/flow_runs/{run_id}"))["state"]["type"] not in ("COMPLETED", "FAILED"):
        assert time.monotonic() < end, run["state"]
        time.sleep(0.3)
    return run


def runs_of(stack: Any, flow: str) -> list[dict[str, Any]]:
    body = {"flows": {"name": {"any_": [flow]}}, "limit": 200}
    return list(prefect(stack, "POST", "/flow_runs/filter", body))


def upload(stack: Any, name: str, lines: list[str]) -> dict[str, Any]:
    with stack.http() as http:
        files = {"file": (name, ("\n".join(lines) + "\n").encode())}
        return http.post("/files", files=files, data={"purpose": "fine-tune"}).raise_for_status().json()


def save(stack: Any, name: str, dataset: str, **fields: Any) -> None:
    request = {"base_model": "tiny", "dataset": dataset, "hyperparameters": QUICK, "output_model": name} | fields
    with stack.http() as http:
        body = {"name": name, "request": request}
        answer = http.post("/fine_tuning/job_specs", json=body)
    assert answer.status_code == 200, answer.text


def jobs_of(stack: Any, spec: str) -> list[dict[str, Any]]:
    with stack.http() as http:
        listed = http.get("/fine_tuning/jobs", params={"limit": 100}).raise_for_status().json()["data"]
    return [job for job in listed if job["job_spec"] == spec]


def first_job_of(stack: Any, spec: str) -> dict[str, Any]:
    end = time.monotonic() + TIMEOUT_SECONDS
    while not (found := jobs_of(stack, spec)):
        assert time.monotonic() < end, [(run["name"], run["state"]) for run in runs_of(stack, "retrain")]
        time.sleep(0.2)
    return found[0]


def cancel(stack: Any, *jobs: dict[str, Any]) -> None:
    with stack.http() as http:
        for job in jobs:
            http.post(f"/fine_tuning/jobs/{job['id']}/cancel").raise_for_status()


@pytest.fixture(scope="module")
def lines(quick: tuple[Path, Path]) -> list[str]:
    return quick[0].read_text().splitlines()


@pytest.fixture(scope="module", autouse=True)
def each_minute(stack: Any, lines: list[str]) -> Iterator[None]:
    """A schedule of the cron deployment, made active before the other tests, so that nobody waits for its minute."""
    announce(stack, {"organization": "default"})  # its run comes six seconds later
    upload(stack, "by-the-clock.jsonl", lines)
    save(stack, "clock", "by-the-clock", pool=WAITS_FOR_A_GPU)
    prefect(stack, "PATCH", f"/work_pools/{WAITS_FOR_A_GPU}", {"concurrency_limit": 100})  # nobody stands in line
    deployment = prefect(stack, "GET", "/deployments/name/submit-fine-tune/scheduled")
    assert deployment["paused"] is True
    schedule = {
        "schedule": {"cron": "* * * * *"},
        "active": True,
        "parameters": {"request": {"job_spec": "clock"}},
    }
    (made,) = prefect(stack, "POST", f"/deployments/{deployment['id']}/schedules", [schedule])
    prefect(stack, "POST", f"/deployments/{deployment['id']}/resume_deployment")
    yield
    prefect(stack, "POST", f"/deployments/{deployment['id']}/pause_deployment")
    prefect(stack, "DELETE", f"/deployments/{deployment['id']}/schedules/{made['id']}")
    cancel(stack, *(job for job in jobs_of(stack, "clock") if job["status"] == "queued"))


def test_the_form_of_prefect_creates_a_job_and_links_to_its_run(stack: Any, lines: list[str]) -> None:
    file = upload(stack, "form.jsonl", lines)
    with stack.http() as http:
        while http.get(f"/files/{file['id']}").json()["status"] == "uploaded":
            time.sleep(0.1)
    request = {"base_model": "tiny", "dataset": "form", "hyperparameters": QUICK, "pool": WAITS_FOR_A_GPU}
    run = ended(stack, start_run(stack, request | {"name": "from-the-form"}))
    assert run["state"]["type"] == "COMPLETED", run["state"]
    with stack.http() as http:
        job = http.get("/fine_tuning/jobs/from-the-form").raise_for_status().json()
    assert job["run_url"] and job["run_url"] in run["state"]["message"]
    chosen = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    (artifact,) = prefect(stack, "POST", "/artifacts/filter", chosen)
    assert f"[from-the-form]({job['run_url']})" in artifact["data"]
    assert (job["status"], job["training_file"], job["pool"]) == ("queued", file["id"], WAITS_FOR_A_GPU)
    cancel(stack, job)


def test_what_is_wrong_with_a_form_is_the_last_sentence_of_its_run(stack: Any, lines: list[str]) -> None:
    wrong = {
        "it must be from 1 to 10": {"base_model": "tiny", "dataset": "form", "hyperparameters": {"epochs": 99}},
        "Did you mean 'clock'": {"job_spec": "clokc"},
    }
    made = [start_run(stack, request) for request in wrong.values()]
    made.append(start_run(stack, {"job_spec": "clock"}, "defualt"))
    made.append(start_run(stack, {"job_spec": "clock"}, ["default"]))
    said_at_last = ("Did you mean 'default'", "organization is ['default']; it must be a string")
    for said, run_id in zip([*wrong, *said_at_last], made, strict=True):
        run = ended(stack, run_id)
        state = run["state"]
        assert state["type"] == "FAILED" and said in state["message"], state
        assert ("organization:default" in run["tags"]) == (said not in said_at_last), run["tags"]
        log = stack.log_of_run(run_id, until="Finished in state Failed")
        assert (logging.ERROR, state["message"]) in stack.log_of_run(run_id, until=state["message"])
        assert not any("Traceback" in message for _, message in log), log


def test_a_parameter_that_nobody_knows_is_named_by_the_run(stack: Any) -> None:
    identity = prefect(stack, "GET", "/deployments/name/submit-fine-tune/form")["id"]
    parameters = {"organization": "default", "request": {"job_spec": "clock"}, "organisation": "default"}
    made = prefect(stack, "POST", f"/deployments/{identity}/create_flow_run", {"parameters": parameters})
    state = ended(stack, made["id"])["state"]
    said = "'organisation' is no parameter of this deployment; it takes organization and request."
    assert state["type"] == "FAILED" and state["message"].startswith(said), state
    log = stack.log_of_run(made["id"], until=said)
    assert not any("Traceback" in message for _, message in log), log


def test_a_form_with_emptied_fields_and_a_word_for_a_number_is_a_good_one(stack: Any, lines: list[str]) -> None:
    upload(stack, "emptied.jsonl", lines)
    request = {"base_model": "tiny", "dataset": "emptied", "name": "emptied", "suffix": "", "from_checkpoint": ""}
    settings = QUICK | {"batch_size": "auto", "lora_rank": ""}
    run = ended(stack, start_run(stack, request | {"hyperparameters": settings, "pool": WAITS_FOR_A_GPU}))
    assert run["state"]["type"] == "COMPLETED" and "organization:default" in run["tags"], run
    with stack.http() as http:
        job = http.get("/fine_tuning/jobs/emptied").raise_for_status().json()
    assert job["suffix"] is None and job["hyperparameters"]["n_epochs"] == QUICK["epochs"]
    cancel(stack, job)


def test_an_event_made_by_hand_that_lacks_something_ends_as_a_run_that_says_so(stack: Any) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while not (found := [run for run in runs_of(stack, "retrain") if run["parameters"].get("name", "") is None]):
        assert time.monotonic() < end
        time.sleep(0.2)
    run = ended(stack, found[0]["id"])
    assert run["name"] == "retrain on nothing of default"
    assert (run["state"]["type"], run["state"]["message"]) == ("FAILED", "name is missing; it must be a string.")


def test_a_version_that_never_was_retrains_nothing_and_says_so(stack: Any, lines: list[str]) -> None:
    upload(stack, "one-version.jsonl", lines)
    identity = prefect(stack, "GET", "/deployments/name/retrain/on-new-version")["id"]
    parameters = {"organization": "default", "name": "one-version.jsonl", "version": 99}
    made = prefect(stack, "POST", f"/deployments/{identity}/create_flow_run", {"parameters": parameters})
    run = ended(stack, made["id"])
    assert run["state"]["type"] == "FAILED" and "organization:default" in run["tags"], run
    assert run["state"]["message"].startswith("There is no version 99 of 'one-version.jsonl'")


def test_a_new_version_of_a_file_trains_the_specs_that_name_it(stack: Any, lines: list[str], finished_job: Any) -> None:
    upload(stack, "orders of 'today'.jsonl", lines[:20])
    save(stack, "on-event", "orders of 'today'.jsonl", base_model="tiny-orders")
    held_out = upload(stack, "held-out.jsonl", lines[:5])
    save(stack, "half-gone", "orders of 'today'.jsonl", validation_dataset="held-out")
    with stack.http() as http:
        http.delete(f"/files/{held_out['id']}").raise_for_status()
    second = upload(stack, "orders of 'today'.jsonl", lines)
    job = first_job_of(stack, "on-event")
    assert job["training_file"] == second["id"]
    assert any("has a new version (2)" in message for message in stack.messages(job["id"]))
    done = stack.wait(job["id"])
    assert (done["status"], done["base_model"]) == ("succeeded", "tiny"), done["error"]
    assert any("Begins with the trained weights of the adapter" in said for said in stack.messages(job["id"]))
    with stack.http() as http:
        assert http.get("/hub/adapters/on-event").status_code == 200
    with sqlite3.connect(f"file:{stack.home / 'mlflow.db'}?mode=ro", uri=True) as records:
        query = "SELECT spec.value FROM tags spec JOIN tags job USING (run_uuid) WHERE spec.key = 'job_spec' AND job.value = ?"
        assert records.execute(query, [job["id"]]).fetchall() == [("on-event",)]
    run = prefect(stack, "GET", f"/flow_runs/{done['run_url'].rsplit('/', 1)[1]}")
    assert {"organization:default", "job_spec:on-event"} <= set(run["tags"])
    lost = first_job_of(stack, "half-gone")
    assert lost["status"] == "failed" and "held-out" in lost["error"]["message"]
    assert stack.messages(lost["id"]) == [lost["error"]["message"]]


def test_a_hundred_versions_at_once_make_one_job(stack: Any, lines: list[str]) -> None:
    file = upload(stack, "storm.jsonl", lines)
    save(stack, "storm", "storm", pool=WAITS_FOR_A_GPU)
    before = len(runs_of(stack, "retrain"))
    # A hundred times in one request: no machine is too slow for that.
    announce(stack, {"organization": "default", "name": "storm.jsonl", "version": file["version"]}, times=100)
    job = first_job_of(stack, "storm")
    assert (job["status"], job["training_file"]) == ("queued", file["id"])
    time.sleep(6)  # a second firing, were there one, would be seen by now
    assert len(jobs_of(stack, "storm")) == 1
    assert len(runs_of(stack, "retrain")) - before == 1
    cancel(stack, job)


def test_a_spec_whose_file_is_gone_fails_in_prefect_and_in_the_ledger(stack: Any, lines: list[str]) -> None:
    file = upload(stack, "soon-gone.jsonl", lines)
    save(stack, "orphan", "soon-gone")
    with stack.http() as http:
        http.delete(f"/files/{file['id']}").raise_for_status()
    run = ended(stack, start_run(stack, {"job_spec": "orphan"}, deployment="scheduled"))  # as the clock does
    (job,) = jobs_of(stack, "orphan")
    assert run["state"]["type"] == "FAILED" and job["status"] == "failed"
    assert "soon-gone" in job["error"]["message"] and job["error"]["message"] == run["state"]["message"]
    assert stack.messages(job["id"]) == [job["error"]["message"]]
    shown = stack.command_line("get", "job", job["id"])
    assert shown.returncode == 0 and "soon-gone" in shown.stdout
    assert "All others are defaults" not in shown.stdout


def test_the_clock_starts_a_job_each_minute_and_no_second_one_while_it_waits(stack: Any) -> None:
    job = first_job_of(stack, "clock")
    assert job["status"] == "queued" and job["pool"] == WAITS_FOR_A_GPU
    assert any("Made from the saved spec 'clock'" in message for message in stack.messages(job["id"]))
    assert len(jobs_of(stack, "clock")) == 1
