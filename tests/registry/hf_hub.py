"""A small server that speaks the read side of the Hugging Face Hub, with one model and one data set."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def weights(parameters: int) -> bytes:
    header = json.dumps({"a": {"dtype": "BF16", "shape": [parameters], "data_offsets": [0, 2 * parameters]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(2 * parameters)


HALF = 20_000_000


def is_lfs(name: str) -> bool:
    """Tell whether the Hub keeps a file in its large file storage, by SHA-256."""
    return name.endswith((".safetensors", ".parquet"))


GOOD_FILES = {
    "config.json": json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}).encode(),
    "tokenizer.json": b"{}",
    "README.md": b"---\nlicense: mit\n---\n",
    "model.safetensors": weights(10),
    "pytorch_model.bin": b"pickle",
    "consolidated.safetensors": weights(10),
    "modeling_tiny.py": b"raise SystemExit",
    "onnx/config.json": b"{}",
}


class Hub(ThreadingHTTPServer):
    """The read side of the Hub: the model ``acme/tiny``, and a data set of that name once it has files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files = dict(GOOD_FILES)
        self.dataset_files: dict[str, bytes] = {}
        self.commit = COMMIT
        self.error: tuple[int, str] | None = None
        self.parameters: int | None = None
        self.fetched: list[str] = []
        self.ranges: list[str] = []
        self.breaks_after: int | None = None
        self.may_end = threading.Event()
        self.may_end.set()
        self.announced_hash: str | None = None
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Start the server, and stop it in the end."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization"))
        path = self.path.partition("?")[0]
        if path.startswith("/api/agent-harnesses"):
            self._send(404, b"{}")
        elif self.server.error is not None:
            status, code = self.server.error
            self._send(status, b"{}", {"X-Error-Code": code} if code else {})
        elif (
            not path.startswith((f"/api/{self._kind}/acme/tiny", f"{self._root}/acme/tiny/resolve/")) or not self._files
        ):
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif path == "/api/datasets/acme/tiny":  # without a revision that of main is meant
            self._send(200, self._info())
        elif path.startswith(f"/api/{self._kind}/acme/tiny/revision/"):
            known = path.endswith(("/main", f"/{self.server.commit}", "/v1"))
            self._send(*((200, self._info()) if known else (404, b"{}", {"X-Error-Code": "RevisionNotFound"})))
        elif path.startswith(f"/api/{self._kind}/acme/tiny/tree/"):
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                | ({"lfs": {"oid": self._hash(name), "size": len(content), "pointerSize": 130}} if is_lfs(name) else {})
                for name, content in self._files.items()
            ]
            self._send(200, json.dumps(entries).encode())
        else:
            name = path.removeprefix(self._root).split("/", 5)[5]
            content = self._files[name]
            if self.command == "GET":
                self.server.fetched.append(name)
            headers = {"X-Repo-Commit": self.server.commit, "ETag": f'"{self._hash(name)}"'}
            if wanted := self.headers.get("Range"):
                self.server.ranges.append(wanted)
                first = int(wanted.removeprefix("bytes=").partition("-")[0])
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
                self._send(206, content[first:], headers)
            elif is_lfs(name) and self.server.breaks_after is not None and self.command == "GET":
                self._send(200, content[: self.server.breaks_after], headers | {"Content-Length": str(len(content))})
                self.server.breaks_after = None
                self.close_connection = True
            elif is_lfs(name) and not self.server.may_end.is_set():
                self._send(200, content[:HALF], headers | {"Content-Length": str(len(content))})
                self.server.may_end.wait(20)
                self.wfile.write(content[HALF:])
            else:
                self._send(200, content, headers)

    @property
    def _kind(self) -> str:
        return "datasets" if self.path.startswith(("/api/datasets/", "/datasets/")) else "models"

    @property
    def _root(self) -> str:
        return "/datasets" if self._kind == "datasets" else ""

    @property
    def _files(self) -> dict[str, bytes]:
        return self.server.dataset_files if self._kind == "datasets" else self.server.files

    def _hash(self, name: str) -> str:
        content = self._files[name]
        if not is_lfs(name):
            return hashlib.sha1(content).hexdigest()
        return self.server.announced_hash or hashlib.sha256(content).hexdigest()

    def _info(self) -> bytes:
        siblings = [
            {"rfilename": name, "size": len(content)}
            | ({"lfs": {"sha256": self._hash(name), "size": len(content), "pointerSize": 130}} if is_lfs(name) else {})
            for name, content in self._files.items()
        ]
        info: dict[str, Any] = {"id": "acme/tiny", "sha": self.server.commit, "private": False, "siblings": siblings}
        if self.server.parameters is not None:
            info["safetensors"] = {"parameters": {"BF16": self.server.parameters}, "total": self.server.parameters}
        return json.dumps(info).encode()

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
