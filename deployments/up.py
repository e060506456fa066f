"""``python -m deployments up``: choose ports, lay out the parts, and run the stack."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from afinador.errors import ServiceUnavailableError
from afinador.settings import Settings
from deployments.definition import Definition
from deployments.environment import child_environment, no_proxy
from deployments.home import Home
from deployments.housekeeper import Housekeeper
from deployments.plan import Plan
from deployments.ports import choose_port, reachable
from deployments.stack import Stack, say
from tasks.gpus import visible_gpus

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
"""Base models may be registered from here unless the configuration names other folders."""
PREFECT_PORT = 4200
MLFLOW_PORT = 5000
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for; ports: 0 is any free one, and one that is taken gives way to the next free one."""

    prefect_port: int = PREFECT_PORT
    mlflow_port: int = MLFLOW_PORT
    port: int | None = None
    has_mlflow: bool = True


def up(settings: Settings, wishes: Wishes) -> None:
    """Run the whole stack on this machine until a signal comes.

    Raises:
        ConfigurationError: Another stack is up on this home, or no port is free.
        StartError: A part could not be started.
    """
    settings = with_examples(settings)
    home = Home(settings.home)
    logging.basicConfig(
        filename=home.logs / "supervisor.log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    say(f"Starting Afinador on {home.path}")
    leftovers = home.end_leftovers()
    if leftovers:
        say(f"  {leftovers} processes left behind by a supervisor that was killed have been ended.")
    _stack(settings, wishes, home).run()


def with_examples(settings: Settings) -> Settings:
    """Return the settings with the examples as the folder of base models, unless others are named."""
    if "model_roots" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"model_roots": [EXAMPLES]})


def _count_gpus() -> int:
    try:
        return len(visible_gpus())
    except ServiceUnavailableError as error:
        say(f"  {error.message} Until then jobs run on the CPU.")
        return 0


def _stack(settings: Settings, wishes: Wishes, home: Home) -> Stack:
    gpus = _count_gpus()
    os.environ.update(no_proxy(settings.host))
    if settings.host not in LOOPBACK:
        say(
            f"  Everything binds to {settings.host}. Prefect and MLflow ask nobody for a key: keep their ports behind a firewall."
        )
    ports = _choose_ports(settings, wishes)
    address = f"http://{reachable(settings.host)}"
    urls = {
        "api": f"{address}:{ports['api']}",
        "prefect": f"{address}:{ports['prefect']}",
        "mlflow": f"{address}:{ports['mlflow']}",
    }
    settings = settings.model_copy(
        update={"port": ports["api"], "base_url": urls["api"], "prefect_api_url": f"{urls['prefect']}/api"}
    )
    environment = child_environment(settings, root=ROOT, python=sys.executable, gpus=gpus, mlflow_url=urls["mlflow"])
    born = psutil.Process().create_time()
    plan = Plan(
        settings,
        root=ROOT,
        python=sys.executable,
        definition=Definition.read(ROOT, environment),
        prefect_port=ports["prefect"],
        mlflow_port=ports["mlflow"] if wishes.has_mlflow else None,
        started_at=born,
    )
    if gpus:
        say(
            f"  {gpus} NVIDIA GPU{'s' if gpus > 1 else ''} found: a worker for each of the pools gpu and cpu is started."
        )
    else:
        at_once = f", {settings.cpu_slots} at once" if settings.cpu_slots > 1 else ""
        say(f"  No NVIDIA GPU found: jobs run on the CPU{at_once}, and no worker of the pool gpu is started.")
    parts = plan.parts(["gpu", "cpu"] if gpus else ["cpu"])
    return Stack(home, parts, environment, Housekeeper(settings, since=born), urls)


def _choose_ports(settings: Settings, wishes: Wishes) -> dict[str, int]:
    wanted = {
        "api": settings.port if wishes.port is None else wishes.port,
        "prefect": wishes.prefect_port,
        "mlflow": wishes.mlflow_port,
    }
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        chosen[name] = choose_port(settings.host, port, chosen.values())
        if port and chosen[name] != port:
            say(f"  Port {port} is taken: {name} uses {chosen[name]}.")
    return chosen
