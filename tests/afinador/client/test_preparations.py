"""Preparations of data sets by the client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from afinador.errors import DataError, InvalidRequestError, WaitTimeoutError
from registry.creation import preparations
from registry.ledger.tables import Preparation


def test_a_local_data_set_is_uploaded_once_and_prepared(client: Any, dataset: Path) -> None:
    steps = [{"type": "deduplicate"}]
    asked = client.preparations.create(dataset, steps, output="made.csv")
    assert (asked.status, asked.output, asked.pipeline, asked.has_ended) == ("queued", "made.csv", steps, False)
    again = client.preparations.create(dataset, {"steps": steps})
    assert again.file == asked.file
    assert [each.id for each in client.preparations.list()][:2] == [again.id, asked.id]
    assert client.preparations.get(asked).created_at == asked.created_at
    assert client.preparations.cancel(again.id).status == "cancelled"
    assert client.preparations.wait(again).status == "cancelled"
    with pytest.raises(WaitTimeoutError, match="has not ended after 0 s: it is queued"):
        client.prepare_dataset(dataset, steps, timeout_seconds=0)
    with pytest.raises(InvalidRequestError, match="records is 0"):
        client.prepare_dataset(dataset, [{"type": "sample", "records": 0}])


def test_the_error_of_a_preparation_has_all_faults(client: Any, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create, problems = preparations.create, ["Line 1 is no JSON: …", "Line 2 has no field 'text'."]

    def create_and_fail(session: Session, *given: Any) -> Preparation:
        row = create(session, *given)
        error = {"code": "invalid_data", "message": "2 of 2 records", "param": None, "problems": problems}
        preparations.finish(session, row.id, "failed", error)
        session.refresh(row)
        return row

    monkeypatch.setattr(preparations, "create", create_and_fail)
    with pytest.raises(DataError, match="2 of 2 records") as refused:
        client.prepare_dataset(dataset, [])
    assert refused.value.problems == problems
