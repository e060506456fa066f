from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from afinador import errors
from api.problems import STATUS_AND_TYPE, answer_to


def assert_envelope(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert answer.headers["x-request-id"].startswith("req_")
    assert "Traceback" not in answer.text
    return error


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize(
    ("method", "path", "status", "code", "says"),
    [
        ("GET", "/fine_tuning/job", 404, "unknown_route", "/fine_tuning/jobs'"),
        ("GET", "/nothing/like/it", 404, "unknown_route", "/docs"),
        ("POST", "/fine_tuning/jobs/x/explode", 404, "unknown_route", "There is no route"),
        ("PUT", "/files", 405, "method_not_allowed", "GET, POST"),
        ("DELETE", "/fine_tuning/jobs", 405, "method_not_allowed", "GET, POST"),
        ("PATCH", "/models/org/name", 405, "method_not_allowed", "DELETE, GET"),
        ("GET", "/files?limit=many", 400, "invalid_request", "limit"),
        ("GET", "/files?limit=0", 400, "out_of_range", "from 1 to 10000"),
        ("GET", "/files?order=up", 400, "invalid_request", "asc"),
        ("GET", "/files?purpose=xx", 400, "invalid_request", "'purpose' is 'xx'; it must be 'fine-tune', "),
        ("GET", "/files?purpose=", 400, "invalid_request", "'fine-tune-results'"),
        ("GET", "/files?after=file-unknown", 400, "invalid_request", "file-unknown"),
        ("GET", "/fine_tuning/jobs?limit=999999999999999999999999", 400, "out_of_range", "limit"),
        ("GET", "/fine_tuning/jobs?status=sleeping", 400, "invalid_request", "running"),
        ("GET", "/files/file-unknown", 404, "file_not_found", "file-unknown"),
        ("GET", "/fine_tuning/jobs/ftjob-unknown/logs", 404, "job_not_found", "ftjob-unknown"),
    ],
)
def test_error_is_an_envelope_that_names_the_remedy(member, prefix, method, path, status, code, says):
    error = assert_envelope(member.http.request(method, prefix + path), status, code)
    assert says in error["message"]


def test_wrong_method_says_which_are_allowed(member):
    assert member.http.put("/v1/files").headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"9" * 10_000, "invalid_json"),
        (b"[]", "invalid_request"),
        (b"null", "invalid_request"),
        (b'{"model": "\\ud800"}', "invalid_json"),
        (b'{"model": "a\\u0000b"}', "invalid_request"),
        (b'{"seed": 99999999999999999999999}', "out_of_range"),
        (b'{"config": {"epochs": 2, "epochs": 3}}', "invalid_request"),
        (b'{"model": "' + b"x" * 4_000_001 + b'"}', "request_too_large"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_bad_json_is_a_client_error(member, body, code):
    answer = member.http.post("/v1/fine_tuning/jobs", content=body, headers={"content-type": "application/json"})
    assert_envelope(answer, 413 if code == "request_too_large" else 400, code)


def test_long_values_do_not_make_long_messages(member):
    answer = member.http.post("/v1/fine_tuning/jobs", json={"model": "m" * 1_000_000, "training_file": "f"})
    assert answer.status_code == 404
    assert len(answer.text) < 10_000


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer af-nobody"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"x-api-key": "af-nobody"},
    ],
)
def test_request_without_a_known_key_is_refused(running, headers):
    with running.http(None) as client:
        answer = client.get("/v1/files", headers=headers)
    assert_envelope(answer, 401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_both_ways_to_send_a_key_mean_the_same(running, member):
    with running.http(None) as client:
        assert client.get("/v1/files", headers={"x-api-key": member.key}).status_code == 200
        assert client.get("/v1/files", headers={"authorization": f"bearer {member.key}"}).status_code == 200


def test_revoked_key_opens_nothing(running, member, operator):
    extra = operator.post("/v1/api_keys", json={"organization": member.organization["id"], "name": "second"}).json()
    with running.http(extra["key"]) as client:
        assert client.get("/v1/files").status_code == 200
        assert operator.delete(f"/v1/api_keys/{extra['id']}").json()["deleted"] is True
        assert_envelope(client.get("/v1/files"), 401, "invalid_api_key")


def test_key_is_checked_before_the_body_is_looked_at(running):
    with running.http(None) as client:
        assert_envelope(client.post("/v1/fine_tuning/jobs", content=b"{"), 401, "invalid_api_key")
        assert_envelope(client.post("/v1/files", content=b"x" * 5_000_000), 401, "invalid_api_key")


def test_trailing_slash_means_nothing(member):
    assert member.http.get("/v1/files/").json()["object"] == "list"


def test_every_deliberate_error_has_a_status():
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.AfinadorError):
            answer = answer_to(error("said so"))
            assert 400 <= answer.status_code < 600
            assert ("x-should-retry" in answer.headers) == (answer.status_code >= 500)


def test_only_what_passes_by_itself_is_worth_a_retry():
    assert answer_to(errors.ServiceUnavailableError("away")).headers["x-should-retry"] == "true"
    assert answer_to(errors.StorageError("away")).status_code == 503
    full = answer_to(errors.InsufficientStorageError("full"))
    assert (full.status_code, full.headers["x-should-retry"]) == (507, "false")


def test_statuses_are_those_promised():
    promised = {
        errors.InvalidRequestError: 400, errors.DataError: 400, errors.ModelError: 400, errors.AuthenticationError: 401,
        errors.PermissionDeniedError: 403, errors.NotFoundError: 404, errors.RequestTooLargeError: 413,
        errors.InsufficientStorageError: 507, errors.ServiceUnavailableError: 503, errors.StorageError: 503,
    }  # fmt: skip
    assert {error: STATUS_AND_TYPE[error][0] for error in promised} == promised


def test_unforeseen_fault_is_answered_without_detail_and_logged_with_the_id(member, running, monkeypatch, caplog):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("registry.data_sets.files.list_page", broken)
    answer = member.http.get("/v1/files")
    error = assert_envelope(answer, 500, "internal_error")
    request_id = answer.headers["x-request-id"]
    assert error["type"] == "server_error"
    assert request_id in error["message"]
    assert "secret" not in answer.text
    assert request_id in caplog.text
    assert "the secret of the house" in caplog.text


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/models", {"name": "a b", "source": "/m"}, "name is 'a b'; it must hold 1 to 96 letters, digits"),
        ("/v1/models", {"name": None, "source": "/m"}, "name is null; it must be a string."),
        ("/v1/models", {"name": "a", "source": ""}, "source is ''; it must not be shorter than 1."),
        ("/v1/models", {"name": "a", "source": "/m", "visibility": "x"}, "it must be 'private' or 'public'."),
        ("/v1/models", None, "it is null."),
        ("/v1/models", [], "it is an array."),
    ],
)
def test_wrong_values_are_said_in_our_own_words(member, path, body, says):
    answer = member.http.post(path, content=json.dumps(body))
    assert says in assert_envelope(answer, 400, "invalid_request")["message"]


def test_wrong_parameters_are_said_in_our_own_words(member):
    message = assert_envelope(member.http.get("/v1/files?limit=x"), 400, "invalid_request")["message"]
    assert message == "The parameter 'limit' is 'x'; it must be a whole number."
    message = assert_envelope(member.http.get("/v1/files?order=up"), 400, "invalid_request")["message"]
    assert message == "The parameter 'order' is 'up'; it must be 'asc' or 'desc'."
