"""A supervisor of the tests' own, on free ports, without MLflow's pages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

READY_TIMEOUT_SECONDS = 180


@dataclass
class Supervisor:
    """``afinador up`` on a home; its output is collected in a file."""

    root: Path
    home: Path
    output: Path

    def command(self) -> list[str]:
        ports = ["--port", "0", "--prefect-port", "0", "--mlflow-port", "0"]
        return [sys.executable, "-m", "deployments", "up", "--home", str(self.home), *ports, "--no-mlflow"]

    def environment(self) -> dict[str, str]:
        ours = ("AFINADOR_", "PREFECT_", "MLFLOW_")
        return {name: value for name, value in os.environ.items() if not name.startswith(ours)}

    def start(self) -> subprocess.Popen[bytes]:
        """Start it and wait until it is ready for jobs."""
        self.output.write_bytes(b"")
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                self.command(), cwd=self.root, env=self.environment(), stdout=output, stderr=subprocess.STDOUT
            )
        self.wait_for_line("Ready for jobs", process, timeout_seconds=READY_TIMEOUT_SECONDS)
        return process

    def wait_for_line(self, text: str, process: subprocess.Popen[bytes], *, timeout_seconds: float) -> str:
        end = time.monotonic() + timeout_seconds
        while True:
            for line in self.output.read_text().splitlines():
                if text in line:
                    return line
            assert process.poll() is None and time.monotonic() < end, self.output.read_text()
            time.sleep(0.1)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)

    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "stack.json").read_text()))

    def processes(self) -> list[psutil.Process]:
        """All living processes that work for this home, wherever they are in the tree."""
        found = []
        for process in psutil.process_iter():
            try:
                at_home = process.environ().get("AFINADOR_HOME") == str(self.home)
                if at_home and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="module")
def supervisor(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Supervisor:
    folder = tmp_path_factory.mktemp("stack")
    return Supervisor(root, folder / "home", folder / "output.txt")
