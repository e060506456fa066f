"""How long a person waits for the command line: the median of some calls of ``--help`` and of the lists.

``python -m bench.command_line [--repeat 10]`` starts the API on an empty home, with nothing behind it, and calls the installed
``afinador`` as a shell would; beside it, in the same run, an interpreter that does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.api_answers import make_home, running_api

COMMANDS = {
    "python -c pass": None,
    "afinador --help": ["--help"],
    "afinador create fine-tune-job --help": ["create", "fine-tune-job", "--help"],
    "afinador list fine-tune-job": ["list", "fine-tune-job"],
    "afinador list hub-adapter": ["list", "hub-adapter"],
    "afinador list base-model": ["list", "base-model"],
}


def seconds_of(words: list[str] | None, environment: dict[str, str]) -> float:
    """Return how long a command takes from its start to its end."""
    program = [str(Path(sys.executable).with_name("afinador")), *words] if words else [sys.executable, "-c", "pass"]
    started_at = time.perf_counter()
    subprocess.run(program, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started_at


def measure(repeat: int) -> dict[str, float]:
    """Call all commands in turn ``repeat`` times and return the median seconds of each."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        key = make_home(home)
        with running_api(home, key) as client:
            address = str(client.base_url).removesuffix("/v1/")
            environment = os.environ | {"AFINADOR_BASE_URL": address, "AFINADOR_API_KEY": key}
            taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
            for _ in range(repeat):
                for name, words in COMMANDS.items():
                    taken[name].append(seconds_of(words, environment))
    return {name: round(statistics.median(seconds), 3) for name, seconds in taken.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=10, help="calls of each command")
    print(json.dumps(measure(parser.parse_args().repeat), indent=2))
