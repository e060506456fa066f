"""The few calls of Prefect's REST API that the memory needs, over plain HTTP.

Prefect's own client blocks for a minute while its server is away, and takes two seconds to import.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from afinador.errors import ServiceUnavailableError
from afinador.settings import Settings

FLOW = "fine-tune"
"""Name of the flow that runs a job; its deployments are ``fine-tune/gpu`` and ``fine-tune/cpu``."""
POOLS = ("gpu", "cpu")
"""The work pools in which jobs run."""
LIVE_STATES = ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED")
"""Types of states that a run may still leave."""
EVENTS_PAGE = 50
"""Of so many events at most Prefect tells in one answer."""
_PAGE = 200
_CONNECT_SECONDS = 2.0
"""A server that is there takes a connection at once, however busy it is."""
_BUSY_DELAYS_SECONDS = (0.2, 0.5, 1.0)
"""Prefect on SQLite answers 503 now and then, while its database is locked."""


@dataclass(frozen=True)
class RunState:
    """The state of a flow run; ``timestamp`` is when it was entered, in Unix seconds.

    ``is_lasting``: a suspended run waits as long as need be, and is executed again when it is resumed.
    """

    type: str
    name: str
    message: str
    timestamp: float
    is_lasting: bool = False

    @classmethod
    def parse(cls, state: dict[str, Any]) -> RunState:
        """Read a state as Prefect writes it."""
        details = state.get("state_details") or {}
        is_lasting = bool(details.get("pause_reschedule")) and not details.get("pause_timeout")
        return cls(state["type"], state["name"], state.get("message") or "", _seconds(state["timestamp"]), is_lasting)


def _seconds(written: str) -> float:
    return datetime.fromisoformat(written.replace("Z", "+00:00")).timestamp()


@dataclass(frozen=True)
class RunParameters:
    """Names of the parameters that a run was ``given``, and of those that are ``known`` to its deployment."""

    given: frozenset[str]
    known: tuple[str, ...]


class Prefect:
    """Prefect's server, as far as we ask it.

    Every method raises ServiceUnavailableError when the server does not answer within ``timeout_seconds``, or answers
    with an error.
    """

    def __init__(self, settings: Settings, *, timeout_seconds: float = 10.0) -> None:
        self.url = settings.prefect_api_url.rstrip("/")
        secret = settings.prefect_api_auth_string
        user, _, password = secret.get_secret_value().partition(":") if secret else ("", "", "")
        # Reading the certificates takes longer than a call; plain HTTP needs none.
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, _CONNECT_SECONDS)),
            auth=(user, password) if user else None,
            verify=self.url.startswith("https:"),
        )

    def __enter__(self) -> Prefect:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _call(self, method: str, path: str, body: Any = None, *, accept: tuple[int, ...] = ()) -> httpx.Response:
        for delay_seconds in (*_BUSY_DELAYS_SECONDS, None):
            try:
                response = self._http.request(method, path, json=body)
            except httpx.HTTPError as error:
                raise ServiceUnavailableError(
                    f"Prefect at {self.url} does not answer ({type(error).__name__})."
                ) from error
            if response.status_code == 503 and delay_seconds is not None:
                time.sleep(delay_seconds)
                continue
            break
        if response.is_error and response.status_code not in accept:
            raise ServiceUnavailableError(
                f"Prefect at {self.url} answered {response.status_code} to {method} {path}: {response.text[:300]}"
            )
        return response

    def check(self) -> None:
        """Do nothing if the server is well."""
        self._call("GET", "/health")

    def deployment_versions(self) -> dict[tuple[str, str], str | None]:
        """Return the version of each deployment, by entrypoint and name."""
        found = self._call("POST", "/deployments/filter", {"limit": _PAGE}).json()
        return {(each["entrypoint"], each["name"]): each["version"] for each in found}

    def deployment_id(self, name: str) -> str:
        """Return the id of the deployment named ``flow/deployment``; without one, Prefect counts as not ready."""
        response = self._call("GET", f"/deployments/name/{name}", accept=(404,))
        if response.status_code == 404:
            raise ServiceUnavailableError(
                f"Prefect at {self.url} has no deployment {name!r}; `python -m deployments apply` makes it."
            )
        return str(response.json()["id"])

    def create_run(
        self,
        deployment: str,
        *,
        parameters: dict[str, Any],
        name: str,
        tags: list[str],
        idempotency_key: str,
        work_queue: str,
    ) -> str:
        """Schedule a run of a deployment and return its id; the same key again gives the same run, ended or not."""
        body = {
            "parameters": parameters,
            "name": name,
            "tags": tags,
            "idempotency_key": idempotency_key,
            "work_queue_name": work_queue,
        }
        return str(
            self._call("POST", f"/deployments/{self.deployment_id(deployment)}/create_flow_run", body).json()["id"]
        )

    def emit(self, events: list[dict[str, Any]]) -> None:
        """Record events, each with ``id``, ``event``, ``occurred``, ``resource``, ``related`` and ``payload``."""
        self._call("POST", "/events", events)

    def events_since(self, event_ids: list[str]) -> dict[str, float]:
        """Return since when (Unix seconds) Prefect has had some events, by id; those that it has not stored are missing.

        Args:
            event_ids: At most ``EVENTS_PAGE``.
        """
        body = {"filter": {"id": {"id": event_ids}}, "limit": EVENTS_PAGE}
        found = self._call("POST", "/events/filter", body).json()
        return {event["id"]: _seconds(event["received"]) for event in found["events"]}

    def run_states(self, run_ids: list[str]) -> dict[str, RunState]:
        """Return the states of some runs of the fine-tuning flow, and of all its other runs that have not ended.

        Ids that Prefect does not know are missing from the answer.
        """
        chosen: dict[str, Any] = {"operator": "or_", "state": {"type": {"any_": list(LIVE_STATES)}}}
        if run_ids:
            chosen["id"] = {"any_": run_ids}
        states: dict[str, RunState] = {}
        for offset in range(0, 1_000_000, _PAGE):
            body = {
                "flows": {"name": {"any_": [FLOW]}},
                "flow_runs": chosen,
                "sort": "ID_DESC",
                "limit": _PAGE,
                "offset": offset,
            }
            page = self._call("POST", "/flow_runs/filter", body).json()
            states.update({run["id"]: RunState.parse(run["state"]) for run in page if run["state"]})
            if len(page) < _PAGE:
                break
        return states

    def run_state(self, run_id: str) -> RunState | None:
        """Return the state of one run, of whichever flow; None when Prefect does not know it."""
        response = self._call("GET", f"/flow_runs/{run_id}", accept=(404,))
        state = None if response.status_code == 404 else response.json()["state"]
        return RunState.parse(state) if state else None

    def parameters(self, run_id: str) -> RunParameters:
        """Return which parameters a run has, and which its deployment asks for; both must be there."""
        run = self._call("GET", f"/flow_runs/{run_id}").json()
        deployment = self._call("GET", f"/deployments/{run['deployment_id']}").json()
        known = (deployment["parameter_openapi_schema"] or {}).get("properties") or {}
        return RunParameters(frozenset(run["parameters"]), tuple(known))

    def busy_runs(self, pool: str) -> dict[str, RunState]:
        """Return the states of a pool's runs that should have a process, at most 200 of them."""
        return self._runs(pool, {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}})

    def crashed_runs(self, pool: str, flows: tuple[str, ...], *, after: float) -> dict[str, RunState]:
        """Return the states of the runs of some flows that have crashed in a pool since ``after``, at most 200 of them."""
        since = datetime.fromtimestamp(after, UTC).isoformat()
        chosen = {"state": {"type": {"any_": ["CRASHED"]}}, "end_time": {"after_": since}}
        return self._runs(pool, chosen, flows={"name": {"any_": list(flows)}})

    def _runs(self, pool: str, chosen: dict[str, Any], **more: Any) -> dict[str, RunState]:
        body = {"work_pools": {"name": {"any_": [pool]}}, "flow_runs": chosen, "limit": _PAGE, **more}
        page = self._call("POST", "/flow_runs/filter", body).json()
        return {run["id"]: RunState.parse(run["state"]) for run in page}

    def state_history(self, run_id: str) -> list[RunState]:
        """Return all states that a run has been in, oldest first."""
        states = self._call("GET", f"/flow_run_states/?flow_run_id={run_id}").json()
        return sorted((RunState.parse(state) for state in states), key=lambda state: state.timestamp)

    def set_state(self, run_id: str, type: str, name: str, message: str) -> None:
        """Put a run into a state; one that was deleted meanwhile is passed over."""
        body = {"state": {"type": type, "name": name, "message": message}}
        self._call("POST", f"/flow_runs/{run_id}/set_state", body, accept=(404,))

    def set_tags(self, run_id: str, tags: list[str]) -> None:
        """Give a run these tags and no others."""
        self._call("PATCH", f"/flow_runs/{run_id}", {"tags": tags}, accept=(404,))

    def put_off(self, run_id: str, name: str, message: str, seconds: float) -> None:
        """Schedule a run for later, under a name of its own, so that no worker takes it now."""
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        state = {"type": "SCHEDULED", "name": name, "message": message}
        body = {"state": {**state, "state_details": {"scheduled_time": later.isoformat()}}}
        self._call("POST", f"/flow_runs/{run_id}/set_state", body, accept=(404,))

    def suspend(self, run_id: str, message: str) -> None:
        """Suspend a run without an end to its pause.

        Only for one that has no process, which would not be told, and that no worker is about to take: it would die of it.
        """
        state = {"type": "PAUSED", "name": "Suspended", "message": message}
        # Prefect's own rules suspend only what runs.
        body = {"state": {**state, "state_details": {"pause_reschedule": True}}, "force": True}
        self._call("POST", f"/flow_runs/{run_id}/set_state", body, accept=(404,))

    def resume(self, run_id: str) -> None:
        """Schedule a suspended run again; one that is not suspended is left as it is."""
        self._call("POST", f"/flow_runs/{run_id}/resume", {}, accept=(404,))

    def make_queue(self, pool: str, name: str, *, concurrency_limit: int | None = None) -> None:
        """Make a work queue in a pool, unless it is there or the pool is not."""
        body = {"name": name, "concurrency_limit": concurrency_limit}
        self._call("POST", f"/work_pools/{pool}/queues", body, accept=(404, 409))

    def set_queue(self, pool: str, name: str, *, concurrency_limit: int | None, priority: int) -> None:
        """Set limit and rank (1 is first) of a work queue, made if need be; nothing without the pool."""
        self.make_queue(pool, name)
        body = {"concurrency_limit": concurrency_limit, "priority": priority}
        self._call("PATCH", f"/work_pools/{pool}/queues/{name}", body, accept=(404,))

    def slots(self, pool: str) -> int | None:
        """Return how many runs a pool takes at once; None without a limit. Without the pool, Prefect is not ready."""
        response = self._call("GET", f"/work_pools/{pool}", accept=(404,))
        if response.status_code == 404:
            raise ServiceUnavailableError(
                f"Prefect at {self.url} has no work pool {pool!r}; `python -m deployments apply` makes it."
            )
        limit = response.json()["concurrency_limit"]
        return None if limit is None else int(limit)

    def workers_online(self, pool: str) -> list[dict[str, Any]]:
        """Return the pool's workers that have reported lately, as Prefect describes them; none if it has no such pool."""
        body = {"workers": {"status": {"any_": ["ONLINE"]}}}
        response = self._call("POST", f"/work_pools/{pool}/workers/filter", body, accept=(404,))
        return [] if response.status_code == 404 else response.json()

    def run_page(self, run_id: str) -> str:
        """Return the address of a run's page for people."""
        return f"{self.url.removesuffix('/api')}/runs/flow-run/{run_id}"
