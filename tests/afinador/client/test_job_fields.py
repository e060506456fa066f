"""The fields that the SDK takes, and those of the wire, are the same."""

from __future__ import annotations

from afinador.client.job_fields import JobFields, SavedJobFields
from afinador.schemas.jobs import OTHER_NAMES, JobRequest


def test_every_field_of_a_request_is_typed() -> None:
    fields = {*JobRequest.model_fields, *OTHER_NAMES.values()}
    assert JobFields.__optional_keys__ == fields
    assert SavedJobFields.__optional_keys__ == fields - {"name", "job_spec"}
