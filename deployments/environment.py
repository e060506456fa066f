"""What the children of the supervisor find in their environment."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import certifi

from afinador.settings import Settings, variables_of
from deployments.ports import reachable

QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
"""No part tells anybody outside anything."""


def child_environment(settings: Settings, *, root: Path, python: str, gpus: int, mlflow_url: str) -> dict[str, str]:
    """Return the environment of all parts: ours, with where everything is.

    Args:
        settings: With the ports that were chosen.
        root: The repository.
        python: The interpreter that runs the parts.
        gpus: Number of GPUs.
        mlflow_url: Where MLflow's pages are for people; no part reads data from there.
    """
    inherited = dict(os.environ)
    secret = settings.prefect_api_auth_string
    login = {"PREFECT_SERVER_API_AUTH_STRING": secret.get_secret_value()} if secret else {}
    python_path = [str(root), *filter(None, inherited.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **inherited,
        **QUIET,
        **no_proxy(settings.host),
        **login,
        **_one_certificate(settings.home),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(python_path)),
        "PYTHONUNBUFFERED": "1",
        **variables_of(settings),
        "AFINADOR_PYTHON": python,
        "AFINADOR_ROOT": str(root),
        "AFINADOR_GPUS": str(max(1, gpus)),
        "AFINADOR_MLFLOW_URL": mlflow_url,
        "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri,
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "afinador,registry,tasks,flows",
        # Waiting is not being late.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "86400",
        "PREFECT_WORKER_QUERY_SECONDS": inherited.get("PREFECT_WORKER_QUERY_SECONDS", "0.5"),
    }


def _one_certificate(home: Path) -> dict[str, str]:
    """Return the variable that has Prefect's clients read one certificate instead of all, unless somebody has set it.

    Each of a dozen clients in a job's flow reads them, which takes 80 ms, although our Prefect speaks plain HTTP.
    """
    name = "PREFECT_API_SSL_CERT_FILE"
    if name in os.environ:
        return {}
    first = certifi.contents().partition(ssl.PEM_FOOTER)[0].rpartition(ssl.PEM_HEADER)[2]
    path = home / "one_certificate.pem"
    path.write_text(f"{ssl.PEM_HEADER}{first}{ssl.PEM_FOOTER}\n")
    return {name: str(path)}


def no_proxy(host: str) -> dict[str, str]:
    """Return the variables that keep calls between the parts away from a proxy, whatever is configured."""
    local = ["127.0.0.1", "localhost", "::1", reachable(host).strip("[]")]
    given = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    names = ",".join(dict.fromkeys([*filter(None, given.split(",")), *local]))
    return {"NO_PROXY": names, "no_proxy": names}
