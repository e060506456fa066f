"""The warm process that knows tokenizers, as whoever asks it sees it; see ``afinador.data.tokens.child``.

Nothing heavy is imported here, so that the API and the command line can ask, too.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from afinador import errors
from afinador.errors import AfinadorError, InvalidRequestError, ModelError, ServiceUnavailableError

TIMEOUT_SECONDS = 300.0
WAITING_SECONDS = 60.0
"""So long a request waits for those before it; then its sender is told to come back later."""
MOST_WAITING = 16
"""So many requests may wait for the one that is answered; further ones are refused at once."""
MOST_ANSWER_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 16
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}


def can_run_here() -> bool:
    """Tell whether this installation has what the process needs: transformers, which comes with ``afinador[train]``."""
    return find_spec("transformers") is not None


class TokenProcess:
    """Asks the process one request at a time, from any thread; it is started by the first one, and again where it ended.

    Args:
        timeout_seconds: For one answer; a process that takes longer is ended.
        waiting_seconds: Before its turn; a request that waits longer is refused.
    """

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS, waiting_seconds: float = WAITING_SECONDS) -> None:
        self._timeout_seconds, self._waiting_seconds = timeout_seconds, waiting_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._asking = threading.Lock()
        self._room = threading.BoundedSemaphore(MOST_WAITING)
        self._number = 0

    def __enter__(self) -> TokenProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if it runs; who waits for its answer is not waited for."""
        process = self._process
        if process is not None:
            process.kill()
        with self._asking:
            self._end()

    def start(self) -> None:
        """Start the process, which takes a second or two to be warm, without waiting for it."""
        with self._asking:
            self._running()

    def check(
        self,
        tokenizer: Path,
        data: Mapping[str, Any],
        limits: Mapping[str, Any],
        *,
        every: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """Return figures and faults of a data set; see ``afinador.data.tokens.checks``.

        Args:
            tokenizer: Folder of the base model.
            data: ``path``, ``format`` and ``shape`` of the file, as its check has found them.
            limits: Those of ``afinador.data.tokens.checks.Limits``.
            every: Look at every so-many-th usable record only.
            progress: Is told, a few times a second, how many records were looked at.

        Raises:
            ModelError: The folder holds no tokenizer that can be used, or one that ends the process.
            ServiceUnavailableError: Too many requests wait, or this one waited or took too long.
        """
        asked = {**data, "tokenizer": str(tokenizer), "limits": dict(limits), "every": every}
        return self._ask("check", asked, progress)

    def preview(
        self, tokenizer: Path, data: Mapping[str, Any], limits: Mapping[str, Any], *, records: int
    ) -> dict[str, Any]:
        """Return the first records token by token; see ``afinador.data.tokens.preview``. Arguments and errors as ``check``."""
        return self._ask("preview", {**data, "tokenizer": str(tokenizer), "limits": dict(limits), "records": records})

    def count(self, tokenizer: Path, texts: Sequence[str]) -> int:
        """Return how many tokens texts have together, each by itself and as it is. Errors as ``check``."""
        return int(self._ask("count", {"tokenizer": str(tokenizer), "texts": [*texts]})["tokens"])

    def tokenise(
        self, tokenizer: Path, examples: Sequence[Mapping[str, Any]], limits: Mapping[str, Any]
    ) -> list[list[dict[str, Any]]]:
        """Return the rows of each example; see ``afinador.data.tokens.rows``.

        Args:
            tokenizer: Folder of the base model.
            examples: The fields of ``afinador.data.shapes.Example`` that are set.
            limits: Those of ``afinador.data.tokens.checks.Limits``.

        Raises:
            DataError: An example cannot be tokenised.
            ModelError, ServiceUnavailableError: As ``check``.
        """
        asked = {"tokenizer": str(tokenizer), "examples": [dict(each) for each in examples], "limits": dict(limits)}
        rows: list[list[dict[str, Any]]] = self._ask("tokenise", asked)["rows"]
        return rows

    def _ask(
        self, method: str, arguments: dict[str, Any], progress: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        if not self._room.acquire(blocking=False):
            raise ServiceUnavailableError(f"{MOST_WAITING} requests wait for a tokenizer already. Try again later.")
        try:
            if not self._asking.acquire(timeout=self._waiting_seconds):
                raise ServiceUnavailableError(
                    f"Other requests have kept the tokenizer busy for {self._waiting_seconds:.0f} s. Try again later."
                )
            try:
                self._number += 1
                request = {"id": self._number, "method": method, "arguments": arguments, "tells": progress is not None}
                reply = self._reply_to(request, progress) or self._reply_to(request, progress)
                reply = reply or self._gave_up(arguments["tokenizer"])
            finally:
                self._asking.release()
        finally:
            self._room.release()
        if "error" in reply:
            raise _refused(reply["error"])
        answer: dict[str, Any] = reply["answer"]
        return answer

    def _reply_to(self, request: dict[str, Any], progress: Callable[[int], None] | None) -> dict[str, Any] | None:
        """Return the reply, or None where the process ended before it came; it is another one the next time."""
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            deadline = time.monotonic() + self._timeout_seconds
            while lines := self._read_lines(process, deadline):
                for line in lines.splitlines():
                    reply: dict[str, Any] = json.loads(line)
                    if "records_done" not in reply:
                        return reply
                    if progress is not None:
                        progress(reply["records_done"])
        except BrokenPipeError:
            pass  # it has ended, as where nothing more can be read
        except BaseException:
            self._end()  # what it goes on to answer, nobody waits for
            raise
        self._end()
        return None

    def _read_lines(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """Return a whole line, or several that came at once; nothing where the process ended."""
        assert process.stdout is not None
        line = bytearray()
        waiting = select.poll()  # unlike select, with any number of open files
        waiting.register(process.stdout, select.POLLIN)
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise ServiceUnavailableError(
                    f"The tokenizer took longer than {self._timeout_seconds:.0f} s and was stopped. "
                    "Try fewer records, or shorter ones."
                )
            chunk = os.read(process.stdout.fileno(), _CHUNK_BYTES)
            if not chunk:
                return b""
            line += chunk
            if len(line) > MOST_ANSWER_BYTES:
                raise InvalidRequestError("The answer is too large to be shown. Ask for fewer records.")
        return bytes(line)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        if self._said is not None:
            self._said.close()
        # Its last words are read after its end.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        # A session of its own: Ctrl-C reaches us alone, and it ends with us.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "afinador.data.tokens.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, **_ENVIRONMENT},
        )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def _gave_up(self, tokenizer: str) -> dict[str, Any]:
        assert self._said is not None
        self._said.seek(0)
        last_words = self._said.read()[-_CHUNK_BYTES:].decode(errors="replace").strip().rpartition("\n")[2]
        raise ModelError(
            f"The process that reads the tokenizer in {tokenizer} ended twice; it said last: {last_words or 'nothing'}. "
            "If other data do not help, save the tokenizer again with save_pretrained of transformers."
        )


def _refused(error: dict[str, Any]) -> AfinadorError:
    kind = getattr(errors, error["kind"], AfinadorError)
    try:
        return kind(error["message"], param=error["param"], code=error["code"])  # type: ignore[no-any-return]
    except TypeError:  # some kinds have one code only
        return kind(error["message"], param=error["param"])  # type: ignore[no-any-return]
