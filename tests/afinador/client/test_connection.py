"""What is tried again, what is not, and what an answer means that is no answer of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from afinador import errors
from afinador.client import calls, results
from afinador.client.access import Access
from afinador.client.answers import error_from
from afinador.client.sending import request_options
from afinador.errors import InvalidRequestError
from afinador.settings import Settings

Answer = httpx.Response | Exception
Play = Callable[..., tuple[Any, list[httpx.Request]]]
Part = Callable[[str], Any]


def away(status: int = 503, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, json={"error": {"message": "Away.", "code": "service_unavailable"}})


def done() -> httpx.Response:
    return httpx.Response(200, json={"id": "it"})


@pytest.fixture(autouse=True)
def _without_waiting(pauses: list[float]) -> None: ...


GET, POST, CANCEL = calls.get_job("x"), calls.create_job({"model": "m"}), calls.cancel_job("x")
REFUSED, BROKEN = httpx.ConnectError("refused"), httpx.ReadError("broken")


@pytest.mark.parametrize(
    ("call", "first", "is_repeated"),
    [
        (GET, REFUSED, True),
        (GET, BROKEN, True),
        (GET, away(502), True),
        (GET, away(503), True),
        (GET, away(504), True),
        (CANCEL, BROKEN, True),
        (GET, httpx.Response(429), True),
        (POST, httpx.Response(429), True),
        (POST, httpx.Response(429, headers={"x-should-retry": "false"}), False),
        (GET, away(503, **{"x-should-retry": "false"}), False),
        (GET, httpx.Response(500), False),
        (GET, httpx.Response(404), False),
        (POST, REFUSED, True),
        (POST, BROKEN, False),  # the job may have been made
        (POST, away(502), False),
        (POST, away(503), False),
        (POST, away(504), False),
        (POST, away(503, **{"x-should-retry": "true"}), True),
    ],
)
def test_only_what_cannot_do_harm_is_sent_again(play: Play, call: calls.Call, first: Answer, is_repeated: bool) -> None:
    connection, asked = play(first, done())
    if is_repeated:
        assert connection.json(call) == {"id": "it"}
    else:
        with pytest.raises(errors.AfinadorError):
            connection.json(call)
    assert len(asked) == 1 + is_repeated


def test_it_gives_up_after_the_retries(play: Play, pauses: list[float]) -> None:
    connection, asked = play(REFUSED, REFUSED, REFUSED)
    with pytest.raises(errors.ServiceUnavailableError, match=r"http://service\.test.*afinador up.*AFINADOR_BASE_URL"):
        connection.json(GET)
    assert len(asked) == 3 and pauses == sorted(pauses) and len(pauses) == 2


def test_it_pauses_as_long_as_the_service_asks(play: Play, pauses: list[float]) -> None:
    connection, _ = play(away(503, **{"retry-after": "2"}), away(503, **{"retry-after": "3600"}), done())
    connection.json(GET)
    assert pauses == [2.0, 10.0]


def test_an_upload_that_a_busy_proxy_refused_is_sent_again_whole(play: Play, pauses: list[float]) -> None:
    connection, asked = play(httpx.Response(429, headers={"retry-after": "3"}), done())
    assert connection.upload_bytes(b"all of it", "a.jsonl", "fine-tune") == {"id": "it"}
    assert pauses == [3.0] and all(b"all of it" in request.content for request in asked)


def test_a_proxy_that_stays_busy_is_said_to_be_that(play: Play) -> None:
    connection, asked = play(*[httpx.Response(429, text="<html>Too many</html>")] * 3)
    with pytest.raises(errors.ServiceUnavailableError, match=r"/jobs.* answered 429.*Try again later"):
        connection.json(POST)
    assert len(asked) == 3


def test_calls_go_below_v1_once_and_carry_the_right_key(play: Play) -> None:
    connection, asked = play(done(), done(), done())
    connection.json(calls.get_model("owner/name"))
    connection.json(calls.create_organization("acme"))
    connection.json(calls.create_model("m", "hf://a/b", "public"))
    assert [request.url.raw_path for request in asked] == [
        b"/v1/models/owner%2Fname",
        b"/v1/organizations",
        b"/v1/models",
    ]
    assert [request.headers["authorization"] for request in asked] == [
        "Bearer af-key", "Bearer af-operator", "Bearer af-operator",
    ]  # fmt: skip


def test_values_that_are_none_are_not_sent(play: Play) -> None:
    connection, asked = play(done(), done())
    connection.json(calls.list_jobs(metadata={"a b": "c"}))
    connection.json(calls.create_job({"model": "m", "seed": None}))
    assert dict(asked[0].url.params) == {"metadata[a b]": "c"}
    assert json.loads(asked[1].content) == {"model": "m"}


@pytest.mark.parametrize(
    "kind", [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
)
def test_every_deliberate_error_survives_the_wire(kind: type[errors.AfinadorError]) -> None:
    body = json.dumps({"error": {"message": "So it is.", "type": "t", "param": "field", "code": kind.code}})
    error = error_from(400, body.encode(), "http://x")
    assert type(error) is kind
    assert (error.message, error.param, error.code) == ("So it is.", "field", kind.code)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (422, errors.InvalidRequestError),
        (429, errors.ServiceUnavailableError),
        (502, errors.ServiceUnavailableError),
        (507, errors.InsufficientStorageError),
        (500, errors.AfinadorError),
    ],
)
def test_codes_nobody_knows_go_by_status(status: int, kind: type[errors.AfinadorError]) -> None:
    ours = error_from(status, b'{"error": {"message": "m", "code": "brand_new"}}', "http://x")
    assert type(ours) is kind and ours.code == "brand_new"
    foreign = error_from(status, b"<html>Bad Gateway</html>", "http://x")
    assert type(foreign) is kind and f"http://x answered {status}" in foreign.message


def test_a_page_of_something_else_is_said_to_be_that(play: Play) -> None:
    connection, _ = play(httpx.Response(200, text="<html>router</html>"))
    with pytest.raises(errors.ServiceUnavailableError, match="is this an Afinador service"):
        connection.json(GET)


class Breaking(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off in its midst."""

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"id": '
        raise BROKEN

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def test_an_answer_that_breaks_off_means_a_service_that_is_away(play: Play) -> None:
    connection, _ = play(*[lambda: httpx.Response(200, stream=Breaking())] * 2)
    with pytest.raises(errors.ServiceUnavailableError, match="broken"):
        connection.json(GET)
    with pytest.raises(errors.ServiceUnavailableError, match="broken"):
        connection.text(GET)


def test_a_base_url_that_is_none_is_refused(connect: Callable[..., Any]) -> None:
    with pytest.raises(errors.InvalidRequestError, match="AFINADOR_BASE_URL"):
        connect("localhost:8000")


@pytest.mark.parametrize("name", ["base_url", "api_key", "operator_key"])
def test_what_is_given_empty_is_not_taken_from_the_environment(
    connect: Callable[..., Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFINADOR_API_KEY", "af-of-another-organisation")
    with pytest.raises(
        errors.InvalidRequestError, match=rf"{name} is '', an empty.* AFINADOR_{name.upper()}"
    ) as caught:
        connect(**{name: ""})
    assert caught.value.param == name


def test_messages_end_with_done_and_break_without_it(play: Play) -> None:
    whole = 'data: {"line": "a"}\n\n: still running\n\ndata: {"line": "b"}\n\ndata: [DONE]\n\n'
    connection, _ = play(httpx.Response(200, text=whole), httpx.Response(200, text='data: {"line": "a"}\n\n'))
    assert list(connection.messages(GET)) == [{"line": "a"}, {"line": "b"}]
    with pytest.raises(errors.ServiceUnavailableError, match="went down"):
        list(connection.messages(GET))


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", ""])
def test_no_service_writes_outside_of_the_folder(play: Play, part: Part, path: str, tmp_path: Path) -> None:
    entry = {"version": 1, "files": [{"path": path, "bytes": 1, "sha256": "0"}]}
    connection, asked = play(httpx.Response(200, json=entry))
    with pytest.raises(errors.StorageError, match="outside of the folder"):
        part("downloads").download_hub(connection, "model", "bot", tmp_path / "inside")
    assert len(asked) == 1 and list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path / "none"])
def test_what_cannot_be_read_is_not_uploaded(play: Play, make: Callable[[Path], Path], tmp_path: Path) -> None:
    connection, asked = play()
    with pytest.raises(errors.InvalidRequestError, match="Cannot read"):
        connection.upload(make(tmp_path), "fine-tune")
    assert asked == []


class TestAccess:
    def read(self, environment: dict[str, str], folder: Path) -> Access:
        return Access.from_environment({"AFINADOR_HOME": str(folder / "home"), **environment}, folder)

    def test_the_environment_wins_over_the_file(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("AFINADOR_API_KEY='af-file'\nAFINADOR_BASE_URL=http://file:1\n")
        access = self.read({"AFINADOR_API_KEY": "af-environment", "AFINADOR_BASE_URL": ""}, tmp_path)
        assert (access.api_key, access.base_url) == ("af-environment", "http://file:1")

    def test_the_stack_on_the_home_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        record = tmp_path / "home" / "stack.json"
        record.write_text(json.dumps({"urls": {"api": "http://127.0.0.1:8001"}}))
        assert self.read({}, tmp_path).base_url == "http://127.0.0.1:8001"
        assert self.read({"AFINADOR_BASE_URL": "http://b"}, tmp_path).base_url == "http://b"
        record.write_text("{broken")
        assert self.read({}, tmp_path).base_url == "http://127.0.0.1:8000"

    def test_it_agrees_with_the_settings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        names = ("AFINADOR_BASE_URL", "AFINADOR_API_KEY", "AFINADOR_OPERATOR_KEY")
        for values in ({}, {name: f"http://{name}.test" for name in names}):
            for name in names:
                monkeypatch.setenv(name, values.get(name, ""))
            settings: Any = Settings(_env_file=None)  # type: ignore[call-arg]
            access = self.read(dict(values), tmp_path)
            assert access.base_url == settings.base_url
            for key in ("api_key", "operator_key"):
                secret = getattr(settings, key)
                assert getattr(access, key) == (secret.get_secret_value() if secret else None)

    @pytest.mark.parametrize(
        ("keys", "of_member", "of_operator"),
        [(("a", "o"), "a", "o"), (("a", None), "a", "a"), ((None, "o"), "o", "o"), ((None, None), None, None)],
    )
    def test_a_call_takes_the_key_meant_for_it_else_the_one_there_is(
        self, keys: tuple[str | None, str | None], of_member: str | None, of_operator: str | None
    ) -> None:
        access = Access("http://x", *keys)
        assert access.key_for(calls.list_models()) == of_member
        assert access.key_for(calls.list_organizations()) == of_operator

    def test_keys_are_not_in_its_text(self) -> None:
        assert "af-" not in repr(Access("http://x", "af-a", "af-b"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_number_that_json_cannot_say_is_refused_before_it_is_sent(value: float) -> None:
    with pytest.raises(InvalidRequestError, match="numbers must be finite"):
        request_options(calls.create_job({"hyperparameters": {"epochs": value}}), Access("http://127.0.0.1:1", "k"))


def test_body_that_holds_itself_is_refused() -> None:
    body: dict[str, object] = {}
    body["config"] = body
    with pytest.raises(InvalidRequestError, match="nothing may hold itself"):
        request_options(calls.create_job(body), Access("http://127.0.0.1:1", "k"))


def test_key_that_no_header_may_hold_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="Copy it again"):
        request_options(calls.list_jobs(), Access("http://127.0.0.1:1", "añ"))


@pytest.mark.parametrize("call", [calls.get_job, calls.get_file, calls.get_model, calls.delete_file])
def test_empty_name_does_not_become_a_list(call: Callable[[str], calls.Call]) -> None:
    with pytest.raises(InvalidRequestError, match="The name is empty"):
        call(" ")


def test_whatever_was_answered_names_itself() -> None:
    file = results.File(
        id="file-1", created_at=0, bytes=1, filename="a.jsonl", purpose="fine-tune", status="processed",
        organization_id="org-1", sha256="0" * 64, path="x", type="dataset",
    )  # fmt: skip
    assert calls.get_file(file) == calls.get_file("file-1")
    assert calls.delete_file(file) == calls.delete_file("file-1")
