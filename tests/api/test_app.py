from __future__ import annotations

import inspect
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from afinador.client import calls, preparation_calls
from tests.api.conftest import OPERATOR_KEY, make_base_model

ROUTES = {
    "/v1/health": "get",
    "/v1/files": "get post",
    "/v1/files/{file}": "delete get",
    "/v1/files/{file}/content": "get",
    "/v1/datasets/prepare": "post",
    "/v1/datasets/preparations": "get",
    "/v1/datasets/preparations/{preparation}": "get",
    "/v1/datasets/preparations/{preparation}/cancel": "post",
    "/v1/datasets/validate": "post",
    "/v1/datasets/preview": "post",
    "/v1/fine_tuning/jobs": "get post",
    "/v1/fine_tuning/jobs/{job}": "delete get",
    "/v1/fine_tuning/jobs/{job}/cancel": "post",
    "/v1/fine_tuning/jobs/{job}/pause": "post",
    "/v1/fine_tuning/jobs/{job}/resume": "post",
    "/v1/fine_tuning/jobs/{job}/verify_resume": "post",
    "/v1/fine_tuning/jobs/{job}/reproduce": "post",
    "/v1/fine_tuning/jobs/{job}/certificates": "get",
    "/v1/fine_tuning/jobs/{job}/events": "get",
    "/v1/fine_tuning/jobs/{job}/checkpoints": "get",
    "/v1/fine_tuning/jobs/{job}/checkpoints/{checkpoint}/files": "get",
    "/v1/fine_tuning/jobs/{job}/checkpoints/{checkpoint}/files/{path}": "get",
    "/v1/fine_tuning/jobs/{job}/checkpoints/{checkpoint}/publish": "post",
    "/v1/fine_tuning/jobs/{job}/metrics": "get",
    "/v1/fine_tuning/jobs/{job}/resources": "get",
    "/v1/fine_tuning/jobs/{job}/logs": "get",
    "/v1/fine_tuning/jobs/{job}/report": "get",
    "/v1/fine_tuning/job_specs": "get post",
    "/v1/fine_tuning/job_specs/{job_spec}": "delete get",
    "/v1/models": "get post",
    "/v1/models/{model}": "delete get",
    "/v1/models/{model}/files/{path}": "put",
    "/v1/hub/models": "get",
    "/v1/hub/models/{name}": "delete get",
    "/v1/hub/models/{name}/files": "get",
    "/v1/hub/models/{name}/files/{path}": "get",
    "/v1/hub/adapters": "get",
    "/v1/hub/adapters/{name}": "delete get",
    "/v1/hub/adapters/{name}/files": "get",
    "/v1/hub/adapters/{name}/files/{path}": "get",
    "/v1/organizations": "get post",
    "/v1/organizations/{organization}": "patch",
    "/v1/api_keys": "get post",
    "/v1/api_keys/{key_id}": "delete",
}


WITHOUT_A_CALL = {
    ("post", "/v1/files"): "the connection sends it, as a form",
    ("delete", "/v1/fine_tuning/jobs/{job}"): "the same as cancel",
}


def test_each_route_has_a_call_of_the_client():
    samples = {"body": {}, "request": {}, "files": [], "offset": 0, "content": b"", "as_operator": False}
    made = set()
    for kind in ("model", "adapter"):
        for name, function in (vars(calls) | vars(preparation_calls)).items():
            signature = inspect.signature(function) if inspect.isfunction(function) else None
            if signature and signature.return_annotation == "Call" and name[0] != "_":
                given = [key for key, each in signature.parameters.items() if each.default is each.empty]
                call = function(**{key: (samples | {"kind": kind}).get(key, "x") for key in given})
                made.add((call.method.lower(), f"/v1{call.path}"))
    routes = {(method, path) for path, methods in ROUTES.items() for method in methods.split()}
    called = {(method, path) for method, path in routes if (method, re.sub(r"{\w+}", "x", path)) in made}
    assert routes - called == WITHOUT_A_CALL.keys()


def test_description_needs_no_key_and_lists_each_route_once(running):
    with running.http(None) as client:
        document = client.get("/openapi.json").json()
        page = client.get("/docs")
    assert {path: " ".join(sorted(methods)) for path, methods in document["paths"].items()} == ROUTES
    assert "ValidationError" not in str(document)
    assert page.status_code == 200
    assert all(path in page.text for path in ROUTES)


def test_docs_page_needs_nothing_from_elsewhere(running):
    with running.http(None) as client:
        page = client.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page


def test_the_root_leads_browsers_to_the_page_and_programs_to_all_places(running):
    with running.http(None) as client:
        seen = client.get("/", headers={"accept": "text/html,*/*"})
        assert (seen.status_code, seen.headers["location"]) == (307, "/docs")
        places = client.get("/").json()
        for name in ("docs", "openapi", "health"):
            assert client.get(places[name]).status_code == 200


def test_docs_page_shows_types_values_and_code(running):
    with running.http(None) as client:
        page = client.get("/docs").text
    assert "`" not in page
    assert "<code>qlora</code>" in page and "<code>training_file</code>" in page and "integer" in page


def test_every_route_exists_with_and_without_the_prefix(running):
    with running.http(None) as client:
        for path, methods in ROUTES.items():
            for method in methods.split():
                for place in (path, path.removeprefix("/v1")):
                    expected = 200 if path == "/v1/health" else 401
                    assert client.request(method, place).status_code == expected, (method, place)


def test_import_of_the_application_loads_nothing_heavy():
    code = (
        "import sys, api.app\n"
        "heavy = {'torch', 'transformers', 'peft', 'accelerate', 'datasets', 'prefect', 'mlflow', 'pandas', 'alembic'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def module(tmp_path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """``python -m api`` as the supervisor starts it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "AFINADOR_HOME": str(tmp_path / "home"),
        "AFINADOR_MODEL_ROOTS": str(tmp_path),
        "AFINADOR_OPERATOR_KEY": OPERATOR_KEY,
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
    }
    command = [sys.executable, "-m", "api", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            try:
                assert httpx.get(f"{url}/health", timeout=5).status_code == 200
                break
            except httpx.ConnectError:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < end
                time.sleep(0.05)
        yield process, url
    finally:
        process.kill()
        process.communicate()


def test_module_says_nothing_and_stops_cleanly(module):
    process, _ = module
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode in (0, -signal.SIGTERM)


def test_module_stops_cleanly_while_a_job_is_followed(module, tmp_path):
    process, url = module
    make_base_model(tmp_path / "tiny")
    with httpx.Client(base_url=url, timeout=30, headers={"x-api-key": OPERATOR_KEY}) as client:
        client.post("/organizations", json={"name": "acme"})
        key = client.post("/api_keys", json={"organization": "acme"}).json()["key"]
        client.headers["x-api-key"] = key
        client.post("/models", json={"name": "tiny", "source": str(tmp_path / "tiny")})
        while client.get("/models/tiny").json()["status"] != "ready":
            time.sleep(0.05)
        client.post("/files", files={"file": ("rows.csv", b"text,label\na,b\n")}, data={"purpose": "fine-tune"})
        client.post("/fine_tuning/jobs", json={"model": "tiny", "dataset": "rows", "name": "followed"})
        with client.stream("GET", "/fine_tuning/jobs/followed/events?follow=true") as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("id: ftevent-")
            process.send_signal(signal.SIGTERM)
            list(lines)  # ends, and does not break
    output, complaints = process.communicate(timeout=30)
    assert output == b""
    # That Prefect is away is worth a warning; nothing else happened.
    assert all(b"registry.prefect_runs.runs" in line for line in complaints.splitlines()), complaints


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AFINADOR_CONFIG", "/nowhere/none.yaml"),
        ("AFINADOR_DATABASE_URL", "postgresql+psycopg://user:the-password@127.0.0.1:9/ledger?connect_timeout=2"),
    ],
)
def test_module_says_in_a_sentence_why_it_cannot_start(tmp_path, name, value):
    environment = {**os.environ, "AFINADOR_HOME": str(tmp_path), name: value}
    process = subprocess.run([sys.executable, "-m", "api"], env=environment, capture_output=True, check=False)
    assert process.returncode == 1
    assert name.encode() in process.stderr
    assert b"the-password" not in process.stderr
    assert b"Traceback" not in process.stderr
