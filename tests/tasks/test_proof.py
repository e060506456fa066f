"""Where a proof is made, and made anew after its process was killed."""

from __future__ import annotations

from collections.abc import Callable

from registry import certificates
from registry.ledger.tables import Certificate, Job
from registry.memory import Memory
from tasks import proof


def test_each_making_has_a_folder_that_no_killed_one_writes_into(memory: Memory, create: Callable[..., Job]) -> None:
    job = create()
    with memory.database.session() as session:
        row = certificates.verify_resume(session, job.organization_id, job.id, 20)
        row.flow_run_id = "run-a"
    killed = proof.claim(row.id, "run-a")
    assert killed is not None and proof.claim(row.id, "run-a") is None
    killed.folder.mkdir(parents=True)
    with memory.database.session() as session:
        assert certificates.requeue(session, row.id, "Its process has gone.")
        session.get_one(Certificate, row.id).flow_run_id = "run-b"
    again = proof.claim(row.id, "run-b")
    assert again is not None and not killed.folder.exists()
    assert again.folder != killed.folder and again.folder.parent == killed.folder.parent
