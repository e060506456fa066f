"""The supervisor of ``afinador up``: starts the parts, watches them, and takes all of them down again."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from types import FrameType

import psutil

from afinador.errors import AfinadorError
from deployments import processes
from deployments.home import Home
from deployments.housekeeper import Housekeeper
from deployments.parts import Part
from deployments.processes import Group
from registry import organisations
from registry.prefect_runs import certificate_runs, runs

LOOK_SECONDS = 0.1
MAX_DEATHS_AT_START = 4
SLOW_SECONDS = 60.0
HOLD_SECONDS = 300.0
"""How long running jobs may take to finish their step and save; a second Ctrl-C does not wait."""
STOP_SECONDS = 8.0
TRAINER_SECONDS = 30.0
"""How long a trainer whose flow is gone has to end by itself."""
STOP_ORDER = (
    ("api", "mlflow", "database", "deployments"),
    ("worker-gpu", "worker-cpu", "worker-submission"),
    ("prefect",),
)

logger = logging.getLogger(__name__)


class StartError(AfinadorError):
    """A part that jobs need could not be started."""

    code = "start_failed"


class Stack:
    """All parts on this machine.

    Args:
        home: The home, held.
        parts: The parts, in the order in which they are shown.
        environment: Of the children.
        housekeeper: Started once the parts are ready.
        urls: Where people and programs find each part.
    """

    def __init__(
        self, home: Home, parts: list[Part], environment: dict[str, str], housekeeper: Housekeeper, urls: dict[str, str]
    ) -> None:
        self.home, self.parts, self.environment = home, parts, environment
        self.housekeeper, self.urls = housekeeper, urls
        self._signals = 0
        self._wake = threading.Event()
        self._born = psutil.Process().create_time()
        self._ready_after_seconds: float | None = None
        self._has_said_slow = False

    def run(self) -> None:
        """Start everything, say so, and watch until SIGINT, SIGTERM or SIGHUP comes; then stop everything.

        Raises:
            StartError: A part that jobs need dies again and again before it was ready even once.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(signal.SIGHUP, self._on_signal)
        try:
            while not self._signals:
                for part in self.parts:
                    self._advance(part)
                if self._ready_after_seconds is None:
                    self._look_whether_ready()
                self._wake.wait(LOOK_SECONDS)
        finally:
            self._stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        self._wake.set()

    def _look_whether_ready(self) -> None:
        missing = [part for part in self.parts if part.is_essential and part.phase != "ready"]
        if not missing:
            self._become_ready()
        elif not self._has_said_slow and time.time() - self._born > SLOW_SECONDS:
            self._has_said_slow = True
            started = next((part for part in missing if part.phase != "waiting"), missing[0])
            say(f"  Still waiting for {started.title}; its log is {started.log_path}.")

    def _advance(self, part: Part) -> None:
        """Bring one part a step further: start it, or notice what has become of it."""
        if part.may_start() and self._has_what_it_needs(part):
            part.start(self.environment, self.home.logs)
            self._record()
            if part.phase == "ready":
                say_part(part)
            return
        change = part.look()
        if change == "ready":
            say_part(part)
        elif change == "died":
            self._mourn(part)
        if change is not None:
            self._record()

    def _has_what_it_needs(self, part: Part) -> bool:
        ready = {each.name for each in self.parts if each.has_been_ready}
        return ready.issuperset(part.needs)

    def _mourn(self, part: Part) -> None:
        is_step = part.answers is None
        if part.is_essential and not part.has_been_ready and part.deaths >= (1 if is_step else MAX_DEATHS_AT_START):
            raise StartError(
                f"{part.title} could not be started (exit code {part.exit_code()}). The end of {part.log_path}:\n"
                f"{part.last_words()}"
            )
        say(
            f"  {part.title} has ended (exit code {part.exit_code()}, see {part.log_path}); "
            f"it is started again in {part.delay_seconds:g} s."
        )

    def _become_ready(self) -> None:
        self._ready_after_seconds = time.time() - self._born
        self.housekeeper.start()
        self._record()
        memory = self.housekeeper.memory
        with memory.database.session() as session:
            first = organisations.first_start(session, memory.settings)
        ready = f"\nReady for jobs in {self._ready_after_seconds:.1f} s.\n\n"
        # In one piece: whoever reads along for the first line has the keys with it.
        say(ready + how_to_use(self.urls, self.home, first))

    def _record(self) -> None:
        parts = {
            part.name: {"pid": part.process_id, "phase": part.phase, "url": part.url, "log": str(part.log_path)}
            for part in self.parts
        }
        supervisor = {"pid": psutil.Process().pid, "started_at": self._born}
        groups = [group.to_json() for part in self.parts for group in part.groups]
        self.home.write_record(
            {
                "supervisor": supervisor,
                "ready_seconds": self._ready_after_seconds,
                "urls": self.urls,
                "parts": parts,
                "groups": groups,
            }
        )

    def _stop(self) -> None:
        """Take everything down: jobs first, then what runs them, then what they report to."""
        say(
            "\nStopping; jobs that run keep a checkpoint, and go on from it at the next start. "
            "Ctrl-C again does not wait for them."
        )
        signals_before = self._signals
        self.housekeeper.stop()
        if self._ready_after_seconds is not None:
            self._hold_jobs(signals_before)
        groups = [group for part in self.parts for group in part.groups]
        left_behind = processes.descendants(groups)
        for names in STOP_ORDER:
            members = [member for group in self._groups(names) for member in group.members()]
            processes.end(members, grace_seconds=STOP_SECONDS)
        # Trainers are in sessions of their own, and end by themselves when their flow is gone.
        late = processes.wait_for_end(left_behind, timeout_seconds=TRAINER_SECONDS)
        processes.end(late, grace_seconds=1)
        for part in self.parts:
            part.reap()
        self.home.release()
        say("Stopped.")

    def _groups(self, names: tuple[str, ...]) -> list[Group]:
        return [group for part in self.parts if part.name in names for group in part.groups]

    def _hold_jobs(self, signals_before: int) -> None:
        """Ask running jobs to stop and go back to the queue, and wait until their flows have ended.

        A worker that is stopped takes its flows with it at once, so this comes before.
        """
        deadline = time.monotonic() + HOLD_SECONDS
        workers = {part.process_id for part in self.parts if part.name.startswith("worker-")}
        while time.monotonic() < deadline and self._signals == signals_before:
            try:
                running = runs.hold(self.housekeeper.memory) + certificate_runs.hold(self.housekeeper.memory)
            except Exception:
                logger.exception("Running jobs could not be asked to stop")
                return
            flows = [
                member
                for group in self._groups(STOP_ORDER[1])
                for member in group.members()
                if member.pid not in workers
            ]
            if not running and not flows:
                return
            time.sleep(0.2)


def say(text: str) -> None:
    """Write a line for whoever has started the stack; nobody may be left to read it."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        logger.info("Nobody reads any more: %s", text)


def say_part(part: Part) -> None:
    """Say that a part is ready, where, and how long it took."""
    where = part.url or ("up to date" if part.was_skipped else "done")
    say(f"  {part.title:<26} {where:<50} {part.seconds:5.1f} s")


def how_to_use(urls: dict[str, str], home: Home, first: organisations.FirstStart | None) -> str:
    """Return what to type now, with the keys if this is the first start.

    The line with the base URL ends the block: a program that reads along has all the keys when it comes.
    """
    exports = [f"export AFINADOR_BASE_URL={urls['api']}"]
    made = []
    if first is not None:
        made = [f"The organization {first.organization.name!r} was made. These keys are shown this once; keep them."]
        operator = [f"export AFINADOR_OPERATOR_KEY={first.operator_key}"] if first.operator_key else []
        exports = [f"export AFINADOR_API_KEY={first.key}", *operator, *exports]
    lines = [
        *made,
        "Use it from another terminal:",
        *(f"  {export}" for export in exports),
        "Then try: afinador list base-model",
        f"The openai client takes base_url={json.dumps(urls['api'] + '/v1')}; "
        f"the API is described at {urls['api']}/docs.",
        f"Logs are in {home.logs}. Ctrl-C stops everything.\n",
    ]
    return "\n".join(lines)
