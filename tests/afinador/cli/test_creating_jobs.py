"""Commands that create jobs and saved specs, against a real service."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from afinador.cli.local_data_sets import say_where_to_declare
from afinador.errors import DataError

Run = Callable[..., Any]


def test_the_specification_s_example_runs(online: Run, dataset: Path) -> None:
    named = dataset.rename(dataset.with_name("qa_data.jsonl"))
    assert online("create", "file", named).code == 0
    line = "create fine-tune-job -basemodel tiny -dataset qa_data -output-model bert-qa -epochs 3 -lora-rank 16"
    ran = online(*line.split(), "--json")
    assert ran.code == 0, ran.err
    job = json.loads(ran.out)
    assert job["spec"]["hyperparameters"]["epochs"] == 3 and job["spec"]["hyperparameters"]["lora_rank"] == 16
    assert job["output_model"] == "bert-qa"
    shown = online("get", "fine-tuning-job", job["id"])
    assert shown.code == 0 and job["name"] in shown.out


def test_a_created_job_is_named_on_standard_output_alone(online: Run, dataset: Path) -> None:
    ran = online("create", "job", "-model", "tiny", "-dataset", dataset, "-name", "one")
    assert (ran.code, ran.out) == (0, "one\n")
    assert "Uploaded" in ran.err and "afinador watch one" in ran.err


def test_a_job_of_a_pool_without_workers_says_so_at_once(
    online: Run, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.health import Health

    monkeypatch.setattr(Health, "workers_online", lambda health: {"gpu": 0})
    ran = online("create", "job", "-model", "tiny", "-dataset", dataset, "-name", "one", "-pool", "gpu")
    assert (ran.code, ran.out) == (0, "one\n") and "no worker of the work pool 'gpu' is online" in ran.err
    assert "no worker online)" in online("list", "jobs").out


def test_what_was_uploaded_for_a_job_that_is_refused_then_is_deleted_again(online: Run, dataset: Path) -> None:
    line = ["create", "job", "-model", "tiny", "-name", "one", "-dataset"]
    assert online(*line, dataset).code == 0
    other = dataset.with_name("other.jsonl")
    other.write_text(dataset.read_text() + dataset.read_text())
    refused = online(*line, other)
    assert refused.code == 1 and "Deleted again, for no job came of it: file-" in refused.err
    kept = json.loads(online("list", "file", "--json").out)["data"]
    assert [file["filename"] for file in kept] == [dataset.name]


def test_options_win_over_set_and_set_over_the_file(online: Run, dataset: Path, elsewhere: Path) -> None:
    config = elsewhere / "advanced.yaml"
    config.write_text("epochs: 1\nlora_rank: 8\nwarmup_steps: 7\nweight_decay: 0.5\n")
    ran = online(
        *["create", "job", "-basemodel", "tiny", "-dataset", dataset, "-config", config, "--json"],
        *["--set", "epochs=2", "--set", "lora_rank=4", "--set", "seed=11", "-epochs", "3", "-lr", "1e-4"],
        *["-tag", "a", "-tag", "b", "-metadata", "team=x", "-suffix", "s1", "-domain", "orders"],
    )
    assert ran.code == 0, ran.err
    made = json.loads(ran.out)
    resolved = made["spec"]["hyperparameters"]
    values = [resolved[key] for key in ("epochs", "lora_rank", "warmup_steps", "weight_decay", "learning_rate")]
    assert values == [3, 4, 7, 0.5, 1e-4]
    assert made["spec"]["sources"]["warmup_steps"] == "file" and made["spec"]["sources"]["lora_rank"] == "request"
    assert (made["seed"], made["tags"], made["metadata"]) == (11, ["a", "b"], {"team": "x"})
    assert (made["suffix"], made["domain"]) == ("s1", "orders")


def test_an_object_of_hyperparameters_is_merged_with_options_and_the_saved_spec(
    online: Run, dataset: Path, elsewhere: Path
) -> None:
    config = elsewhere / "saved.yaml"
    config.write_text("base_model: tiny\ndataset: orders\nhyperparameters: {warmup_steps: 7, n_epochs: 1}\n")
    online("create", "file", dataset)
    assert online("create", "job-spec", "nightly", config).code == 0
    given = ["create", "job", "--spec", "nightly", "--json", "--set", "hyperparameters={n_epochs: 2, lora_rank: 4}"]
    ran = online(*given, "-lora-rank", "8")
    assert ran.code == 0, ran.err
    resolved = json.loads(ran.out)["spec"]["hyperparameters"]
    assert [resolved[key] for key in ("epochs", "lora_rank", "warmup_steps")] == [2, 8, 7]
    twice = online(*given, "--set", "epochs=3")
    assert twice.code == 2 and "--set gives epochs twice" in twice.err
    number = online(*given[:-1], "hyperparameters=3")
    assert number.code == 2 and "it must be an object" in number.err


def test_quantised_tuning_is_an_option_away(online: Run, dataset: Path) -> None:
    line = ["create", "fine-tune-job", "-basemodel", "tiny", "-dataset", dataset, "-method", "qlora", "--json"]
    for bits, given in ((8, []), (4, ["-quantization-bits", "4"])):
        made = json.loads(online(*line, *given).out)
        assert (made["tuning_method"], made["spec"]["output"]["kind"]) == ("qlora", "adapter")
        assert made["hyperparameters"]["quantization_bits"] == bits


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("-basemodel bert-base-uncased", 3, "Registered are: tiny."),
        ("-epochs 50", 2, "from 1 to 10"),
        ("--set epoks=3", 2, "'epochs'"),
        ("--set epochs=3 --set n_epochs=4", 2, "--set gives epochs twice"),
        ("--set packing=perhaps", 2, "packing is 'perhaps'; it must be true or false"),
        ("--set output_dir=here", 2, "goes to the hub"),
        ("-method qlora -quantization-bits 5", 2, "allowed are: 4, 8"),
        ("-quantization-bits 4", 2, "belongs to qlora"),
        ("-method prefix_tuning", 2, "this version trains"),
        ("-method qlora -task sequence_classification", 2, "Use tuning_method 'lora'"),
        ("-task seq2seq_lm", 2, "task is 'seq2seq_lm'"),
        ("-task sequence_classification --set packing=true", 2, "Leave packing out"),
        ("-output-model a/b", 2, "output_model"),
        ("-validation-dataset nope.csv", 3, "-validation-dataset 'nope.csv' is neither a file on this disk"),
    ],
)
def test_a_refused_job_leaves_no_file_behind(online: Run, dataset: Path, change: str, code: int, words: str) -> None:
    model = [] if "basemodel" in change else ["-basemodel", "tiny"]
    ran = online("create", "job", *model, "-dataset", dataset, *change.split())
    assert (ran.code, ran.out) == (code, "") and words in ran.err, ran.err
    assert json.loads(online("list", "file", "--json").out)["data"] == []


def test_set_reads_types_and_the_job_shows_where_values_came_from(online: Run, dataset: Path, elsewhere: Path) -> None:
    config = elsewhere / "advanced.yaml"
    config.write_text("seed: 9\nhyperparameters: {weight_decay: 0.5}\noptimizer: adafactor\n")
    ran = online(
        *["create", "job", "-basemodel", "tiny", "-dataset", dataset, "-name", "typed", "-config", config, "--json"],
        *["--set", "packing=true", "--set", "target_modules=[embed_tokens, lm_head]", "--set", "eval_steps=null"],
        *["--set", "learning_rate=2e-4", "--set", "lora_rank=8"],
    )
    assert ran.code == 0, ran.err
    spec = json.loads(online("get", "fine-tuning-job", "typed", "--json").out)["spec"]
    names = ("packing", "target_modules", "eval_steps", "learning_rate", "lora_rank", "weight_decay", "optimizer")
    assert [(spec["hyperparameters"][name], spec["sources"][name]) for name in names] == [
        *[
            (True, "request"),
            (["embed_tokens", "lm_head"], "request"),
            (None, "request"),
            (2e-4, "request"),
            (8, "request"),
        ],
        *[(0.5, "file"), ("adafactor", "file")],
    ]
    shown = [line.strip() for line in online("get", "fine-tuning-job", "typed").out.splitlines()]
    assert {"packing yes (request)", "optimizer adafactor (file)", "seed 9 (file)"} <= set(shown)
    config.write_text("epochs: 1\nhyperparameters: {epochs: 2}\n")
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", dataset, "-config", config)
    assert ran.code == 2 and "gives 'epochs' twice" in ran.err


def test_ranges_that_the_operator_has_widened_hold(
    online: Run, service: Any, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(service.memory.operator, "limits", {"epochs": {"maximum": 100}})
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", dataset, "-epochs", "50")
    assert ran.code == 0, ran.err


def test_the_same_bytes_under_the_same_name_are_uploaded_once(online: Run, dataset: Path) -> None:
    line = ["create", "job", "-basemodel", "tiny", "-dataset", dataset, "--json"]
    first = json.loads(online(*line).out)
    again = online(*line)
    assert json.loads(again.out)["dataset"] == first["dataset"] and "is there already as" in again.err
    original = dataset.read_text()
    dataset.write_text(original * 2)
    assert json.loads(online(*line).out)["dataset"] != first["dataset"]
    dataset.write_text(original)
    assert json.loads(online(*line).out)["dataset"] == first["dataset"], "an older version does as well"
    assert [file["version"] for file in json.loads(online("list", "file", "--json").out)["data"]] == [2, 1]


def test_a_base_model_that_is_not_ready_is_no_wrong_use(online: Run, service: Any, dataset: Path) -> None:
    from registry.ledger.tables import BaseModel

    with service.memory.database.session() as session:
        of_this_test = BaseModel.organization_id == service.organization_id
        session.execute(update(BaseModel).where(of_this_test, BaseModel.name == "tiny").values(status="registering"))
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", dataset)
    assert ran.code == 1 and "still being registered" in ran.err


def test_a_data_set_that_is_nowhere_is_said_to_be_neither_here_nor_there(online: Run, dataset: Path) -> None:
    online("create", "file", dataset)
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", "ordrs.jsonl")
    assert ran.code == 3
    assert "'ordrs.jsonl' is neither a file on this disk" in ran.err and "Did you mean 'orders.jsonl'?" in ran.err


def test_a_data_set_here_that_is_named_without_its_extension_is_told(
    online: Run, dataset: Path, elsewhere: Path
) -> None:
    (elsewhere / "data").mkdir()
    for name in ("qa_data.csv", "qa_data.jsonl.gz", "qa_data.py", "qa_data.v2.csv", "qa_data2.csv", "data/qa_data.csv"):
        (elsewhere / name).write_text("text,label\na,b\n")
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", "qa_data")
    assert ran.code == 3 and "nor one of the organization. 'qa_data.csv' and 'qa_data.jsonl.gz' lie here: " in ran.err
    ran = online("create", "job", "-basemodel", "tiny", "-dataset", dataset, "-validation-dataset", "data/qa_data")
    assert ran.code == 3 and "there is no such file. 'data/qa_data.csv' lies here: name it whole" in ran.err
    assert json.loads(online("list", "file", "--json").out)["data"] == []


def test_of_a_saved_spec_that_cannot_be_run_only_what_it_says_itself_is_shown(
    online: Run, service: Any, dataset: Path, elsewhere: Path
) -> None:
    from registry import organisations
    from registry.data_sets import files
    from registry.specs import job_specs, spec_jobs

    config = elsewhere / "job.json"
    config.write_text(json.dumps({"base_model": "tiny", "dataset": "orders", "config": {"epochs": 2}}))
    online("create", "file", dataset)
    ran = online("create", "job-spec", "nightly", config)
    assert ran.code == 0, ran.err
    with service.memory.database.session() as session:
        owner = organisations.get(session, service.organization_id)
        files.delete(session, service.memory, owner.id, "orders")
        spec = job_specs.get(session, owner.id, "nightly")
        job = spec_jobs.start(session, service.memory, owner, spec, "Made by a test").job
    lines = [line.strip() for line in online("get", "job", job.id).out.splitlines()]
    assert any(line.endswith("epochs 2 (file)") for line in lines), lines
    assert not any("max_attempts" in line or "All others are defaults" in line for line in lines)


def test_a_whole_request_may_be_in_the_file(online: Run, dataset: Path, elsewhere: Path) -> None:
    config = dataset.with_name("job.json")
    request = {"base_model": "tiny", "training_file": dataset.name, "hyperparameters": {"epochs": 2}, "name": "x"}
    config.write_text(json.dumps(request))
    ran = online("create", "job", "-config", config, "-name", "y", "--json")
    assert ran.code == 0, ran.err
    made = json.loads(ran.out)
    assert (made["name"], made["spec"]["hyperparameters"]["epochs"]) == ("y", 2)


def test_a_job_goes_on_from_a_checkpoint(online: Run, service: Any, job: dict[str, Any]) -> None:
    service.keep_checkpoint(job["id"], 4, {"training_state/state.json": b"{}"})
    (kept,) = json.loads(online("list", "checkpoint", "mine", "--json").out)["data"]
    ran = online("create", "job", "-from-checkpoint", kept["id"], "-whole-state", "-save-steps", "50", "--json")
    assert ran.code == 0, ran.err
    spec = json.loads(ran.out)["spec"]
    assert (spec["start_from"]["step"], spec["start_from"]["state"]) == (4, "whole")
    assert (spec["seed"], spec["hyperparameters"]["save_steps"]) == (job["seed"], 50)
    name = kept["fine_tuned_model_checkpoint"]
    new = online("create", "job", "-from-checkpoint", name, "-dataset", "orders", "-epochs", "1", "--json")
    assert json.loads(new.out)["spec"]["start_from"]["state"] == "weights"
    refused = online("create", "job", "-from-checkpoint", name, "-whole-state", "-epochs", "1")
    assert refused.code == 2 and "epochs is 1, there 3" in refused.err
    alone = online("create", "job", "-basemodel", "tiny", "-dataset", "orders", "-whole-state")
    assert alone.code == 2 and "give from_checkpoint" in alone.err


def test_a_data_set_that_needs_to_be_declared_is_to_be_uploaded_by_itself(online: Run, dataset: Path) -> None:
    path = dataset.with_name("old windows.csv")
    path.write_bytes("prompt,completion\n¿qué?,añoñía\n".encode("cp1252"))
    line = ["create", "job", "-basemodel", "tiny", "-dataset"]
    refused = online(*line, path)
    command = f"afinador create file '{path}' --encoding latin-1"
    assert (
        refused.code == 1 and f"first, with '{command}', and give the id that this prints as -dataset." in refused.err
    )
    uploaded = online(*shlex.split(command)[1:])
    assert uploaded.code == 0, uploaded.err
    assert online(*line, uploaded.out.strip()).code == 0


def test_only_a_data_set_on_this_disk_is_to_be_uploaded_by_itself() -> None:
    error = DataError("b.csv has no header: --delimiter, or reading.delimiter; --columns, or reading.columns.")
    say_where_to_declare(error, {"dataset": Path("a.csv")})
    assert error.message.endswith("reading.columns.")
    say_where_to_declare(error, {"dataset": Path("a.csv"), "validation_dataset": Path("b.csv")})
    assert "'afinador create file b.csv --delimiter …' (or --columns), and give" in error.message
    assert error.message.endswith("as -validation-dataset.")
    plain = DataError("b.csv is empty.")
    say_where_to_declare(plain, {"dataset": Path("b.csv")})
    assert plain.message == "b.csv is empty."
