from __future__ import annotations

import hashlib
import json
import socket
from inspect import signature

import httpx
import pytest

from api import upload_forms
from api.routes.files import list_files

FORM = {"purpose": "fine-tune"}


def upload(member, files, data=FORM) -> httpx.Response:
    return member.http.post("/v1/files", files=files, data=data)


def refused(answer: httpx.Response, status: int = 400) -> dict:
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_upload_is_answered_at_once_and_checked_afterwards(member):
    content = b'{"text": "hola", "label": "es"}\n' * 3
    answer = upload(member, {"file": ("labels.jsonl", content)})
    created = answer.json()
    assert created["object"] == "file"
    assert created["status"] == "uploaded"
    assert created["bytes"] == len(content)
    assert created["sha256"] == hashlib.sha256(content).hexdigest()
    assert created["organization_id"] == member.organization["id"]
    checked = member.wait(f"/v1/files/{created['id']}", lambda file: file["status"] != "uploaded")
    assert checked["status"] == "processed"
    assert checked["records"] == 3


def test_what_a_file_does_not_have_is_left_out(member):
    created = member.upload()
    assert "expires_at" not in created
    assert "status_details" not in created
    listed = member.http.get("/v1/files").json()["data"][0]
    assert "status_details" not in listed


def test_file_that_cannot_be_used_says_why(member):
    bad = member.upload('{"text": "a", "label": "b"}\n{"text": "no label"}\n', "holes.jsonl")
    assert bad["status"] == "error"
    assert "2" in bad["status_details"]
    assert "label" in bad["status_details"]


def test_one_file_is_told_with_its_warnings_and_a_list_is_not(member):
    checked = member.upload('{"text": "hola", "label": "es"}\n{"text": "hi", "label": "en"}\n' * 2)
    assert checked["warnings"] > 0 and "not_read" not in checked
    report = member.http.post("/v1/datasets/validate", json={"file": checked["id"]}).json()
    assert checked["warnings"] == sum(report["counts"].values())
    assert "warnings" not in member.http.get("/v1/files").json()["data"][0]
    assert member.upload("a,b\n", "empty.csv").get("warnings") == 0


def test_content_comes_back_byte_by_byte(member):
    content = bytes(range(256)) * 5000
    created = upload(member, {"file": ("bytes.jsonl", content)}).json()
    answer = member.http.get(f"/v1/files/{created['id']}/content")
    assert answer.content == content
    assert answer.headers["content-disposition"] == 'attachment; filename="bytes.jsonl"'
    part = member.http.get(f"/files/{created['id']}/content", headers={"range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.content == content[10:20]


def test_new_file_of_a_known_name_is_a_new_version(member):
    first, second = member.upload("a,b\n1,2\n", "table.csv"), member.upload("a,b\n3,4\n", "table.csv")
    assert (first["version"], second["version"]) == (1, 2)
    assert member.http.get("/v1/files/table").json()["id"] == second["id"]
    assert member.http.get("/v1/files/table.csv").json()["id"] == second["id"]


def test_deleted_file_is_gone_with_its_bytes(member, running):
    created = member.upload()
    stored = running.memory.storage.local_path(created["path"])
    assert stored.is_file()
    answer = member.http.delete(f"/v1/files/{created['id']}")
    assert answer.json() == {"id": created["id"], "object": "file", "deleted": True}
    assert not stored.exists()
    assert member.http.get(f"/v1/files/{created['id']}").status_code == 404


def test_list_is_newest_first_and_pages_with_after(member):
    ids = [upload(member, {"file": (f"{n}.jsonl", b"{}")}).json()["id"] for n in range(5)]
    page = member.http.get("/v1/files", params={"limit": 2}).json()
    assert [file["id"] for file in page["data"]] == ids[:2:-1]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (True, ids[4], ids[3])
    rest = member.http.get("/v1/files", params={"limit": 10, "after": page["last_id"]}).json()
    assert [file["id"] for file in rest["data"]] == ids[2::-1]
    assert rest["has_more"] is False
    assert member.http.get("/v1/files", params={"order": "asc"}).json()["first_id"] == ids[0]


def test_empty_list_has_ids_that_are_strings(member):
    page = member.http.get("/v1/files").json()
    assert (page["data"], page["first_id"], page["last_id"]) == ([], "", "")


def test_list_of_one_purpose(member):
    upload(member, {"file": ("a.jsonl", b"{}")}, {"purpose": "batch"})
    assert member.http.get("/v1/files", params={"purpose": "fine-tune"}).json()["data"] == []
    assert len(member.http.get("/v1/files", params={"purpose": "batch"}).json()["data"]) == 1


@pytest.mark.parametrize(
    ("files", "data", "param", "says"),
    [
        ({"file": ("a.jsonl", b"")}, FORM, "file", "empty"),
        ({"file": ("a.jsonl", b"x")}, {"purpose": ""}, "purpose", "fine-tune"),
        ({"file": ("a.jsonl", b"x")}, {"purpose": "fine-tune-results"}, "purpose", "fine-tune-results"),
        ({"file": ("a.jsonl", b"x")}, {"other": "x"}, "other", "'other'"),
        ({"file": ("a.jsonl", b"x")}, {**FORM, "purpos": "x"}, "purpos", "Did you mean 'purpose'"),
        ({"file": ("a.jsonl", b"x")}, {**FORM, "expires_after[anchor]": "created_at"}, "expires_after", "not offered"),
        ({"file": ("..", b"x")}, FORM, "file", "no file name"),
        ({"file": ("n" * 201, b"x")}, FORM, "file", "200"),
        ({"purpose": (None, b"fine-tune")}, {}, "file", "missing"),
        ([("file", ("a.jsonl", b"x")), ("file", ("b.jsonl", b"y"))], FORM, "file", "one file"),
    ],
)
def test_bad_form_is_refused_naming_the_part(member, files, data, param, says):
    error = refused(upload(member, files, data))
    assert error["param"] == param
    assert says in error["message"]
    assert member.http.get("/v1/files").json()["data"] == []


def test_missing_purpose_is_named(member):
    assert "'purpose' is missing" in refused(upload(member, {"file": ("a.jsonl", b"x")}, {}))["message"]


def test_body_that_is_no_form_is_told_how_to_send_one(member):
    assert "curl" in refused(member.http.post("/v1/files", json={"file": "a"}))["message"]
    assert "curl" in refused(member.http.post("/v1/files"))["message"]


@pytest.mark.parametrize(
    "body",
    [b"", b"garbage", b"--x\r\n", b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc'],
)
def test_broken_form_is_a_client_error(member, body):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    refused(member.http.post("/v1/files", content=body, headers=headers))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("../../etc/passwd", "passwd"), ("C:\\data\\rows.csv", "rows.csv"), ("año ☕.jsonl", "año ☕.jsonl"), ('a"b.jsonl', 'a"b.jsonl')],
)  # fmt: skip
def test_file_name_is_kept_without_folders(member, sent, kept):
    created = upload(member, {"file": (sent, b"{}")}).json()
    assert created["filename"] == kept
    assert member.http.get(f"/v1/files/{created['id']}/content").content == b"{}"


def test_file_above_the_limit_is_413_and_leaves_nothing(member, running, monkeypatch):
    monkeypatch.setattr(upload_forms, "MAX_FILE_BYTES", 3_000_000)
    error = refused(upload(member, {"file": ("big.jsonl", b"x" * 5_000_000)}), 413)
    assert error["code"] == "request_too_large"

    def unannounced():
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="big.jsonl"\r\n\r\n'
        for _ in range(5):
            yield b"x" * 1_000_000

    headers = {"content-type": "multipart/form-data; boundary=x"}
    refused(member.http.post("/v1/files", content=unannounced(), headers=headers), 413)
    assert list((running.memory.settings.home / "uploads").iterdir()) == []
    assert member.http.get("/v1/files").json()["data"] == []


def test_client_that_goes_away_leaves_nothing(member, running):
    address = running.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {member.key}\r\ncontent-length: 9000000\r\n"
        'content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\ncontent-disposition: form-data; name="file"; '
        'filename="gone.jsonl"\r\n\r\n'
    )
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(head.encode() + b"x" * 2_000_000)
    member.upload()
    member.wait("/v1/files", lambda _: not list((running.memory.settings.home / "uploads").iterdir()))
    assert [file["filename"] for file in member.http.get("/v1/files").json()["data"]] == ["orders.jsonl"]


def test_full_disk_is_507_naming_the_remedy(member, monkeypatch):
    monkeypatch.setattr("afinador.storage.FREE_MARGIN_BYTES", 1 << 60)
    error = refused(upload(member, {"file": ("a.jsonl", b"x")}), 507)
    assert error["code"] == "insufficient_storage"
    assert "Free some space" in error["message"]


def test_file_in_use_cannot_be_deleted(member, public_base_model):
    created = member.upload()
    body = {"model": public_base_model, "training_file": created["id"], "name": "the-user"}
    assert member.http.post("/v1/fine_tuning/jobs", json=body).status_code == 200
    error = refused(member.http.delete(f"/v1/files/{created['id']}"))
    assert error["code"] == "in_use"
    assert "the-user" in error["message"]
    member.http.delete("/v1/fine_tuning/jobs/the-user")
    assert member.http.delete(f"/v1/files/{created['id']}").status_code == 200


def test_bytes_lost_from_the_storage_are_404_not_500(member, running):
    created = member.upload()
    running.memory.storage.local_path(created["path"]).unlink()
    assert "gone" in refused(member.http.get(f"/v1/files/{created['id']}/content"), 404)["message"]


def test_a_storage_that_is_away_is_503_not_a_lost_file(member, running):
    created = member.upload()
    root = running.memory.storage.local_path("x").parent
    root.rename(root.with_name("away"))
    try:
        root.write_text("")
        refused(member.http.get(f"/v1/files/{created['id']}/content"), 503)
    finally:
        root.unlink()
        root.with_name("away").rename(root)
    assert member.http.get(f"/v1/files/{created['id']}/content").status_code == 200


def test_uploads_at_once_keep_each_its_own_bytes(member):
    import concurrent.futures

    def one(number: int) -> tuple[int, str]:
        text = json.dumps({"prompt": str(number), "completion": "x" * 100_000}) + "\n"
        return number, upload(member, {"file": (f"{number}.jsonl", text.encode())}).json()["id"]

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for number, file_id in pool.map(one, range(6)):
            assert member.http.get(f"/v1/files/{file_id}/content").json()["prompt"] == str(number)


def test_a_page_of_files_is_as_long_as_openai_s() -> None:
    assert signature(list_files).parameters["limit"].default == 10_000
