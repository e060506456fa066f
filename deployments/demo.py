"""The main job on real input: ``make demo``.

Starts the stack on a home of its own, uploads the project's example data, fine-tunes the project's tiny base model (or
one of the Hugging Face Hub) with LoRA, prints base against tuned, and stops everything.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from afinador.cli import watching
from afinador.client import Afinador
from afinador.config.documents import read_document
from afinador.config.resolve import slug
from afinador.errors import AfinadorError, NotFoundError, ServiceUnavailableError

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".demo"
EXAMPLES = ROOT / "examples"
KEY_FILE = HOME / "key"
TINY = "tiny-orders"
"""Name under which the project's own base model is registered."""
FOR_OTHER_MODELS = {"epochs": 3, "learning_rate": 2e-4, "batch_size": 16, "generation_max_new_tokens": 48}
"""What usually suits a model of some size; those of ``demo.yaml`` were chosen for the tiny one."""
MODEL_TIMEOUT_SECONDS = 7200
STOP_TIMEOUT_SECONDS = 90

console = Console(highlight=False, soft_wrap=True)


def demo(model: str | None = None) -> int:
    """Run the main job once and print what came of it.

    Args:
        model: ``hf://owner/name[@revision]`` instead of the project's own base model.

    Returns:
        0 when the job succeeded, else 1.

    Raises:
        AfinadorError: A part could not be started, or a request was refused.
    """
    started_at = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the service is stopped too
    with running_stack() as urls, Afinador(base_url=urls["api"], api_key=KEY_FILE.read_text().strip()) as client:
        name = register(client, model)
        request = read_document(EXAMPLES / "jobs" / "demo.yaml") | {"base_model": name}
        if model is not None:
            request["hyperparameters"] = FOR_OTHER_MODELS
        job = run_job(client, request)
        if job["status"] == "succeeded":
            show_result(client, job, urls)
            console.print(f"\nDone in {time.monotonic() - started_at:.0f} s. Stopping the service.")
        return 0 if job["status"] == "succeeded" else 1


@contextmanager
def running_stack() -> Iterator[dict[str, str]]:
    """Start ``afinador up`` on the demo's home and stop it at the end; gives the URLs of api, prefect and mlflow.

    Raises:
        ServiceUnavailableError: It did not get ready.
    """
    HOME.mkdir(mode=0o700, exist_ok=True)
    environment = os.environ | {"AFINADOR_HOME": str(HOME), "AFINADOR_MODEL_ROOTS": str(EXAMPLES)}
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments", "up"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C reaches us alone, and we stop it in order
    )
    try:
        wait_until_ready(process)
        yield json.loads((HOME / "stack.json").read_text())["urls"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_TIMEOUT_SECONDS)


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Pass on what the supervisor says, and keep the key that it prints at the very first start.

    Raises:
        ServiceUnavailableError: It ended, or was not ready in time.
    """
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        if found := re.search(r"AFINADOR_API_KEY=['\"]?([\w-]+)", line):
            KEY_FILE.touch(mode=0o600)
            KEY_FILE.write_text(found[1])
        elif line.strip() and not re.search("AFINADOR_|These keys|Use it|afinador list|openai client|^Logs:", line):
            said.append(line)
            console.print(line.rstrip(), markup=False)
        if "AFINADOR_BASE_URL" in line:
            break
    else:
        raise ServiceUnavailableError(f"The service did not start; see {HOME / 'logs'}. It said: {''.join(said[-5:])}")
    if not KEY_FILE.exists():
        raise ServiceUnavailableError(f"The key of {HOME} is lost; remove that folder and run this again.")


def register(client: Afinador, model: str | None) -> str:
    """Register the base model once, wait until it is ready, and return its name.

    Raises:
        AfinadorError: It cannot be fetched or used, with the reason.
    """
    name = slug(model.removeprefix("hf://").replace("/", "--")) if model else TINY
    try:
        found = client.models.get(name)
    except NotFoundError:
        console.print(f"\nRegistering the base model {name}.")
        found = client.models.create(name, model or str(EXAMPLES / "base_model" / "model"))
    if found.status == "registering":
        found = client.models.wait(name, MODEL_TIMEOUT_SECONDS)
    if found.status != "ready":
        raise AfinadorError(f"The base model {name} is not ready ({found.status}): {found.status_details}")
    return name


def run_job(client: Afinador, request: dict[str, Any]) -> dict[str, Any]:
    """Upload the data, create the job and show it until it ends."""
    folder = EXAMPLES / "jobs"
    for field in ("dataset", "validation_dataset"):
        uploaded = client.files.create((folder / request[field]).resolve())
        console.print(f"Uploaded {uploaded.filename}, version {uploaded.version}.")
        request[field] = uploaded.id
    made = client.jobs.create(**request)
    console.print(f"Created the job {made.name}.\n")
    return watching.show(client.connection, made.id, watching.screen_for(console))


def show_result(client: Afinador, job: dict[str, Any], urls: dict[str, str]) -> None:
    """Print base against tuned, sample answers, where the adapter lies, and how to do the same by hand."""
    metrics, name = job["metrics"], job["spec"]["output"]["name"]
    figures = Table("", "base", "tuned", title="\nBase against tuned, on the held-out part", title_justify="left")
    for figure in ("loss", "perplexity", "accuracy", "exact_match"):
        if figure in metrics["tuned"]:
            figures.add_row(figure.replace("_", " "), *(f"{metrics[side][figure]:.4g}" for side in ("base", "tuned")))
    console.print(figures)
    for sample in metrics.get("samples", [])[:3]:
        console.print(f"\n[bold]{_line(sample['prompt'])}[/]")
        for side in ("expected", "base", "tuned"):
            console.print(f"  {side:<9} {_line(sample[side])}", markup=False)
    entry = client.hub.get(name)
    console.print(f"\nThe adapter: {entry.name}, version {entry.version} ({job['fine_tuned_model']})")
    console.print(f"  lies at      {HOME / 'storage' / entry.path}\n  in MLflow as {entry.uri}", markup=False)
    console.print(f"Prefect UI   {job['run_url']}\nMLflow       {urls['mlflow']}\nREST         {urls['api']}/docs")
    console.print(by_hand(job, urls["api"]), markup=False)


def by_hand(job: dict[str, Any], url: str) -> str:
    """Return the ``curl`` and ``openai`` lines that do the same."""
    body = {
        "model": job["model"],
        "training_file": job["training_file"],
        "seed": job["seed"],
        "hyperparameters": _given(job),
    }
    arguments = ",\n                                       ".join(f"{name}={value!r}" for name, value in body.items())
    return f"""
The same with curl (the service runs again with `AFINADOR_HOME={HOME} make up`; the key is in {KEY_FILE}):
  curl {url}/v1/fine_tuning/jobs -H "Authorization: Bearer $(cat {KEY_FILE})" \\
       -H "Content-Type: application/json" -d '{json.dumps(body)}'
and with the openai client:
  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key=open("{KEY_FILE}").read())
  job = client.fine_tuning.jobs.create({arguments})"""


def _given(job: dict[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters that the request gave, without what was default."""
    sources, values = job["spec"]["sources"], job["spec"]["hyperparameters"]
    return {key: value for key, value in values.items() if sources.get(key) == "request"}


def _line(text: str) -> str:
    return " ".join(text.split())
