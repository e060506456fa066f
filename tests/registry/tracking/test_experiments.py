"""MLflow behind its gateway: real MLflow on SQLite, made once for the session."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from afinador.config.layers import resolve_hyperparameters
from afinador.config.spec import BaseModelReference, DataFile, FineTuningSpec, Output
from afinador.errors import ConfigurationError, InvalidRequestError, NotFoundError, ServiceUnavailableError
from afinador.settings import Settings
from registry.tracking.experiments import EXPERIMENT, Experiments, upgrade


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Experiments:
    return Experiments(Settings(home=tmp_path_factory.getbasetemp() / "mlflow-store"))


@pytest.fixture
def organization() -> str:
    return f"org-{secrets.token_hex(4)}"


def spec_of(organization: str, job_id: str = "ftjob-1") -> FineTuningSpec:
    hyperparameters, _ = resolve_hyperparameters("lora", [("request", {"epochs": 2})])
    return FineTuningSpec(
        job_id=job_id,
        job_name="orders",
        organization_id="org_1",
        organization=organization,
        task="causal_lm",
        tuning_method="lora",
        base_model=BaseModelReference(
            name="tiny/llama", path="/models/tiny", architecture="LlamaForCausalLM", sha256="b" * 64, parameters=1000
        ),
        training_file=DataFile(
            file_id="file-1", name="a.jsonl", path="org_1/files/a", format="jsonl", sha256="a" * 64, bytes=10
        ),
        validation_file=DataFile(
            file_id="file-1", name="a.jsonl", path="org_1/files/a", format="jsonl", sha256="a" * 64, bytes=10
        ),
        output=Output(name="tiny-orders", kind="adapter", alias="ft:tiny"),
        hyperparameters=hyperparameters,
        seed=7,
        code_version="1.2.3",
        tags=["demo"],
    )


def run_of(experiments: Experiments, organization: str, run_id: str) -> Any:
    with experiments.workspace(organization) as client:
        return client.get_run(run_id)


def history(experiments: Experiments, organization: str, run_id: str, key: str) -> list[tuple[int, float, int]]:
    with experiments.workspace(organization) as client:
        return [(metric.step, metric.value, metric.timestamp) for metric in client.get_metric_history(run_id, key)]


def test_a_run_says_what_was_trained_on_what(experiments: Experiments, organization: str) -> None:
    run_id = experiments.start_run(spec_of(organization), tags={"attempt": "2"})
    run = run_of(experiments, organization, run_id)
    assert (run.info.run_name, run.info.status) == ("orders", "RUNNING")
    assert run.data.params["epochs"] == "2"
    assert run.data.params["base_model"] == "tiny/llama"
    assert run.data.params["seed"] == "7"
    assert run.data.tags["job"] == "ftjob-1"
    assert run.data.tags["base_model_sha256"] == "b" * 64
    assert run.data.tags["dataset_sha256"] == "a" * 64
    assert run.data.tags["code_version"] == "1.2.3"
    assert run.data.tags["attempt"] == "2"
    told = [run.data.tags[key] for key in ("organization", "organization_id", "mlflow.user")]
    assert (told, run.info.user_id) == ([organization, "org_1", organization], organization)
    inputs = {entry.dataset.name: entry for entry in run.inputs.dataset_inputs}
    assert set(inputs) == {"a.jsonl (training)", "a.jsonl (validation)"}
    assert inputs["a.jsonl (training)"].dataset.digest == "a" * 32
    assert "a" * 64 in inputs["a.jsonl (training)"].dataset.source


def test_a_job_has_one_run_however_often_it_starts(experiments: Experiments, organization: str) -> None:
    spec = spec_of(organization)
    first = experiments.start_run(spec)
    experiments.finish(organization, first, "FAILED")
    assert experiments.start_run(spec, first) == first
    assert experiments.start_run(spec) == first, "a run that the ledger has not yet heard of is found by its job"
    assert run_of(experiments, organization, first).info.status == "RUNNING"
    assert len(run_of(experiments, organization, first).inputs.dataset_inputs) == 2
    assert experiments.start_run(spec_of(organization, "ftjob-2")) != first


def test_a_run_that_was_deleted_or_lost_is_made_anew(experiments: Experiments, organization: str) -> None:
    first = experiments.start_run(spec_of(organization))
    with experiments.workspace(organization) as client:
        client.delete_run(first)
    second = experiments.start_run(spec_of(organization), first)
    assert second != first
    assert experiments.start_run(spec_of(organization, "ftjob-9"), "0" * 32) != second


def test_a_deleted_experiment_is_restored(experiments: Experiments, organization: str) -> None:
    experiments.start_run(spec_of(organization))
    with experiments.workspace(organization) as client:
        client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)
    assert run_of(experiments, organization, experiments.start_run(spec_of(organization))).info.status == "RUNNING"


def test_rows_keep_their_time_and_may_be_replayed(experiments: Experiments, organization: str) -> None:
    run_id = experiments.start_run(spec_of(organization))
    rows = [
        {"step": step, "timestamp_ms": 1_700_000_000_000 + step, "train_loss": 2.5 / step, "note": "x", "ok": True}
        for step in range(1, 1501)
    ]
    experiments.log_metrics(organization, run_id, rows[:1200])
    experiments.log_metrics(organization, run_id, rows)
    kept = history(experiments, organization, run_id, "train_loss")
    assert sorted(kept) == [(row["step"], row["train_loss"], row["timestamp_ms"]) for row in rows]
    assert set(run_of(experiments, organization, run_id).data.metrics) == {"train_loss"}


def test_a_finished_run_still_takes_rows_that_come_late(experiments: Experiments, organization: str) -> None:
    run_id = experiments.start_run(spec_of(organization))
    experiments.finish(organization, run_id, "FINISHED")
    experiments.log_metrics(organization, run_id, [{"step": 3, "timestamp_ms": 5, "valid_loss": 1.5}])
    assert history(experiments, organization, run_id, "valid_loss") == [(3, 1.5, 5)]


def test_infinite_values_do_not_spoil_a_curve(experiments: Experiments, organization: str) -> None:
    run_id = experiments.start_run(spec_of(organization))
    row = {"step": 1, "timestamp_ms": 5, "train_loss": float("inf"), "grad_norm": float("nan")}
    experiments.log_metrics(organization, run_id, [row, row])
    for key in ("train_loss", "grad_norm"):
        [(step, value, _)] = history(experiments, organization, run_id, key)
        assert step == 1
        assert value != value


def test_resources_are_system_metrics_of_their_rank(experiments: Experiments, organization: str) -> None:
    run_id = experiments.start_run(spec_of(organization))
    experiments.log_resources(
        organization,
        run_id,
        [
            {"timestamp_ms": 5, "cpu_percent": 90, "gpus": [{"utilization": 0.5}, {"utilization": 0.75}]},
            {"timestamp_ms": 6, "rank": 1, "memory_bytes": 10},
        ],
    )
    assert run_of(experiments, organization, run_id).data.metrics == {
        "system/cpu_percent": 90,
        "system/gpus/0/utilization": 0.5,
        "system/gpus/1/utilization": 0.75,
        "system/rank1/memory_bytes": 10,
    }


def test_final_figures_are_set_once(experiments: Experiments, organization: str) -> None:
    run_id = experiments.start_run(spec_of(organization))
    figures = {"base": {"loss": 2.5, "exact_match": None}, "tuned": {"loss": 0.5}}
    experiments.set_final_metrics(organization, run_id, figures)
    experiments.set_final_metrics(organization, run_id, figures)
    assert run_of(experiments, organization, run_id).data.metrics == {"base/loss": 2.5, "tuned/loss": 0.5}
    assert len(history(experiments, organization, run_id, "tuned/loss")) == 1


def test_the_end_of_a_run_is_written_once(experiments: Experiments, organization: str) -> None:
    run_id = experiments.start_run(spec_of(organization))
    experiments.finish(organization, run_id, "KILLED")
    ended = run_of(experiments, organization, run_id).info.end_time
    experiments.finish(organization, run_id, "KILLED")
    info = run_of(experiments, organization, run_id).info
    assert (info.status, info.end_time) == ("KILLED", ended)


def test_no_organization_sees_another_ones_runs(experiments: Experiments, organization: str) -> None:
    run_id = experiments.start_run(spec_of(organization))
    for method in (experiments.run_page, lambda org, run: experiments.finish(org, run, "FAILED")):
        with pytest.raises(NotFoundError):
            method("globex", run_id)
    assert experiments.start_run(spec_of("globex")) != run_id


def test_threads_of_different_organizations_never_mix(experiments: Experiments) -> None:
    organizations = [f"thread-{number}-{secrets.token_hex(4)}" for number in range(4)]
    runs = {name: experiments.start_run(spec_of(name, f"ftjob-{name}")) for name in organizations}
    faults: Counter[str] = Counter()

    def work(name: str) -> None:
        for step in range(15):
            experiments.log_metrics(name, runs[name], [{"step": step, "timestamp_ms": step, "loss": 1.0}])
            if run_of(experiments, name, runs[name]).data.tags["job"] != f"ftjob-{name}":
                faults[name] += 1

    threads = [threading.Thread(target=work, args=(name,)) for name in organizations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert all(len(history(experiments, name, runs[name], "loss")) == 15 for name in organizations)


def test_the_page_of_a_run_lies_in_its_workspace(experiments: Experiments, organization: str) -> None:
    run_id = experiments.start_run(spec_of(organization))
    page = experiments.run_page(organization, run_id)
    assert page.startswith("/")
    assert f"/runs/{run_id}" in page
    assert f"workspace={organization}" in page


def test_artifacts_of_a_workspace_lie_below_our_storage(experiments: Experiments, organization: str) -> None:
    for name in (organization, "default"):
        with experiments.workspace(name) as client:
            assert client.get_workspace(name).default_artifact_root == f"{experiments.settings.bytes_url}/mlflow/{name}"


def test_a_name_that_mlflow_reserves_is_refused(experiments: Experiments) -> None:
    with pytest.raises(InvalidRequestError, match="'api'"), experiments.workspace("api"):
        pass


def test_an_environment_without_workspaces_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "false")
    for use in (upgrade, lambda settings: Experiments(settings).connect()):
        with pytest.raises(ConfigurationError, match="MLFLOW_ENABLE_WORKSPACES is 'false'"):
            use(Settings(home=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_database_server_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    uri = "postgresql+psycopg://anna:hidden-word@127.0.0.1:9/mlflow"
    settings = Settings(home=tmp_path, mlflow_tracking_uri=uri)
    for use in (upgrade, lambda settings: Experiments(settings).start_run(spec_of("acme"))):
        with pytest.raises(ServiceUnavailableError, match=r"127\.0\.0\.1:9") as caught:
            use(settings)
        assert "hidden-word" not in caught.value.message


def test_a_broken_store_is_an_unavailable_service(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is no database, but long enough to be looked at" * 20)
    with pytest.raises(ServiceUnavailableError, match=r"mlflow\.db"):
        Experiments(Settings(home=tmp_path)).start_run(spec_of("acme"))


def test_several_first_openers_make_one_good_store_and_say_nothing(tmp_path: Path, root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from afinador.settings import Settings\n"
        "from registry.tracking.experiments import Experiments, upgrade\n"
        "settings = Settings(home=Path(sys.argv[1])); upgrade(settings)\n"
        "with Experiments(settings).workspace('acme'): pass\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PYTEST"))}
    command = [sys.executable, "-c", code, str(tmp_path)]
    openers = [
        subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for opener in openers:
        assert opener.communicate(timeout=120) == (b"", b"")
        assert opener.returncode == 0
    # The third finds the stamp and does not import MLflow at all.
    quick = (
        "import sys; from pathlib import Path; from afinador.settings import Settings\n"
        "from registry.tracking.experiments import upgrade; upgrade(Settings(home=Path(sys.argv[1])))\n"
        "sys.exit('mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", quick, str(tmp_path)], cwd=root, env=environment).returncode == 0
