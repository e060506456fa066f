"""One of each of the specification's entities, as REST and the SDK give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afinador import Afinador
from registry import jobs
from registry.data_sets import files
from registry.job_life import checkpoints
from registry.ledger.tables import Job
from tests.registry.hf_hub import running_hub


@dataclass(frozen=True)
class Made:
    """One of each, and what jobs have left behind: one that succeeded with all there is, one that failed with nothing."""

    get: Callable[[str], dict[str, Any]]
    client: Afinador
    organization_id: str
    succeeded: str
    failed: str
    base: str
    remote: str
    whole: str
    result_file: str

    def rest(self, entity: str) -> dict[str, Any]:
        """Return an entity as REST answers it."""
        paths = {
            "FineTuningJob": f"/fine_tuning/jobs/{self.succeeded}",
            "Checkpoint": f"/fine_tuning/jobs/{self.succeeded}/checkpoints",
            "Event": f"/fine_tuning/jobs/{self.succeeded}/events",
            "ErrorEvent": f"/fine_tuning/jobs/{self.failed}/events",
            "File": f"/files/{self.get(f'/fine_tuning/jobs/{self.succeeded}')['dataset']}",
            "Model": f"/models/{self.base}",
            "RemoteModel": f"/models/{self.remote}",
            "TunedModel": "/models/orders",
            "Adapter": "/hub/adapters/orders",
        }
        answer = self.get(paths[entity])
        if entity == "ErrorEvent":  # an event of its file's check may come later
            return next(event for event in answer["data"] if event["level"] == "error")
        return dict(answer["data"][0]) if answer["object"] == "list" else answer

    def sdk(self, entity: str) -> Any:
        """Return an entity as the SDK gives it."""
        client = self.client
        return {
            "FineTuningJob": lambda: client.jobs.get(self.succeeded),
            "Checkpoint": lambda: client.jobs.checkpoints(self.succeeded).first(1)[0],
            "Event": lambda: client.jobs.events(self.succeeded).first(1)[0],
            "ErrorEvent": lambda: next(event for event in client.jobs.events(self.failed) if event.level == "error"),
            "File": lambda: client.files.get(client.jobs.get(self.succeeded).dataset),
            "Model": lambda: client.models.get(self.base),
            "RemoteModel": lambda: client.models.get(self.remote),
            "TunedModel": lambda: client.models.get("orders"),
            "Adapter": lambda: client.hub.get("orders"),
        }[entity]()


@contextmanager
def one_of_each(running: Any, member: Any, publish: Any, base_model: str, folder: Path) -> Iterator[Made]:
    """Make one of each, all of one organisation.

    Args:
        running: The service.
        member: Whose they are.
        publish: As the fixture of this name.
        base_model: The name of the base model that is trained.
        folder: An empty one.
    """
    succeeded, _ = (publish(member, name)["id"] for name in ("orders", "returns"))
    publish(member, "whole", "model")
    publish(member, "on-whole", base_model="whole")
    publish(member, "further", base_model="on-whole")
    source = folder / "curve.csv"
    source.write_text("step,train_loss\n1,2.0\n")
    body = {"model": base_model, "training_file": member.upload()["id"]}
    failed = member.http.post("/v1/fine_tuning/jobs", json=body).json()["id"]
    with running.memory.database.session() as session:
        result = files.create(
            session, running.memory, member.organization["id"], source, "curve.csv", files.RESULT_PURPOSE, "0" * 64, 22
        )  # fmt: skip
        row = session.get_one(Job, succeeded)
        row.result_files = [result.id]
        for step, loss in ((1, 2.0), (2, 1.5)):
            losses = {"train_loss": loss, "valid_loss": loss + 0.5}
            checkpoints.register(session, row, step, f"{member.organization['id']}/checkpoints/{step}", losses, 10)
        claimed = jobs.claim(session, failed, flow_run_id="run", process_id=1, process_started_at=1.0, host="here")
        assert claimed is not None
        error = {"code": "out_of_memory", "message": "No memory is left.", "param": None}
        jobs.finish(session, failed, claimed.attempt, "failed", error=error, message=error["message"])
    with running_hub() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.memory.settings, "hf_endpoint", hub.url)
        member.http.post("/v1/models", json={"name": "acme/tiny", "source": "hf://acme/tiny"})
        member.wait("/v1/models/acme/tiny", lambda model: model["status"] == "ready")
    with Afinador(running.url, member.key) as client:
        get = lambda path: member.http.get(f"/v1{path}").json()  # noqa: E731
        yield Made(
            get, client, member.organization["id"], succeeded, failed, base_model, "acme/tiny", "whole", result.id
        )
