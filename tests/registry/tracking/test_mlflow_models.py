"""What is published loads with MLflow's own functions: tiny real models, made here."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from afinador.config.layers import resolve_hyperparameters
from afinador.config.spec import BaseModelReference, DataFile, FineTuningSpec, Output
from afinador.errors import InvalidRequestError
from afinador.settings import Settings
from afinador.storage import sha256_of
from registry import organisations
from registry.memory import Memory
from registry.publishing import hub
from registry.tracking import mlflow_models
from registry.tracking.experiments import Experiments

WORDS = ["<unk>", "<s>", "</s>", "one", "two", "three", "four", "five"]


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Experiments:
    return Experiments(Settings(home=tmp_path_factory.getbasetemp() / "mlflow-store"))


@pytest.fixture
def organization() -> str:
    return f"org-{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A random Llama that says something."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=64, bos_token_id=1, eos_token_id=2, **sizes)
    folder = tmp_path_factory.mktemp("models") / "base"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(tmp_path: Path, base: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A LoRA adapter that changes what the base model says."""
    torch.manual_seed(2)
    config = LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    folder = tmp_path / "final"
    get_peft_model(LlamaForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def spec_of(organization: str, base: Path, kind: Any = "adapter", job_id: str = "ftjob-1") -> FineTuningSpec:
    method: Any = "lora" if kind == "adapter" else "full"
    hyperparameters, _ = resolve_hyperparameters(method, [])
    return FineTuningSpec(
        job_id=job_id,
        job_name="orders",
        organization_id="org_1",
        organization=organization,
        task="causal_lm",
        tuning_method=method,
        base_model=BaseModelReference(
            name="tiny", path=str(base), architecture="LlamaForCausalLM", sha256="b" * 64, parameters=1000
        ),
        training_file=DataFile(name="a.jsonl", path="a", format="jsonl", sha256="a" * 64, bytes=10),
        output=Output(name="tiny-orders", kind=kind, alias=f"ft:tiny:{job_id}"),
        hyperparameters=hyperparameters,
        seed=7,
        code_version="1.2.3",
    )


def answer(model: Any, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    prompt = tokenizer("one two", return_tensors="pt", return_token_type_ids=False)
    return model.generate(**prompt, max_new_tokens=6, do_sample=False)[0].tolist()


def load_champion(experiments: Experiments, organization: str, name: str) -> Any:
    """Load as a user does, with nothing but MLflow's own functions."""
    import mlflow

    uri = experiments.settings.tracking_uri
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.set_workspace(organization)
    return mlflow.transformers.load_model(f"models:/{name}@champion")


def test_an_adapter_loads_through_its_champion_and_answers_as_peft_does(
    experiments: Experiments, organization: str, base: Path, adapter: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    spec = spec_of(organization, base)
    mlflow_models.write_mlmodel(adapter, spec, str(base))
    mlflow_models.create_version(experiments, spec, adapter.as_uri(), run_id=None, tags={})
    pipeline = load_champion(experiments, organization, "tiny-orders")
    untouched = LlamaForCausalLM.from_pretrained(base)
    expected = answer(PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), adapter), tokenizer)
    assert isinstance(pipeline.model, PeftModel)
    assert answer(pipeline.model, pipeline.tokenizer) == expected
    assert answer(untouched, tokenizer) != expected
    assert pipeline("one two", max_new_tokens=2)[0]["generated_text"].startswith("one two")


def test_a_published_adapter_loads_from_the_storage_and_from_a_downloaded_copy(
    memory: Memory,
    experiments: Experiments,
    workshop: Any,
    base: Path,
    adapter: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    with memory.database.session() as session:
        owner = organisations.create(session, f"acme-{secrets.token_hex(4)}")
    workshop.base_model(owner, path=str(base))
    workshop.upload(owner)
    job = workshop.job(owner, output_model="orders")
    trained = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), adapter)
    row = hub.publish(memory, experiments, job, adapter, {})
    pipeline = load_champion(experiments, owner.name, "orders")
    copy = tmp_path / "copy"
    with memory.database.reading() as session:
        for file in hub.files_of(session, owner.id, "orders"):
            memory.storage.get_file(hub.file_key(session, owner.id, "orders", file.path), copy / file.path)
            # MLflow has left a file of its own there meanwhile, and none of ours has changed.
            assert sha256_of(copy / file.path) == file.sha256 == row.files[file.path]["sha256"]
            assert file.path != "MLmodel" or str(base) not in (copy / file.path).read_text()
    downloaded = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), copy)
    expected = answer(trained, tokenizer)
    assert answer(pipeline.model, pipeline.tokenizer) == expected
    assert answer(downloaded, tokenizer) == expected


def test_a_full_model_loads_through_its_champion(
    experiments: Experiments, organization: str, base: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    spec = spec_of(organization, base, "model")
    final = shutil.copytree(base, tmp_path / "final")
    mlflow_models.write_mlmodel(final, spec, "/nowhere")
    mlflow_models.create_version(experiments, spec, final.as_uri(), run_id=None, tags={})
    pipeline = load_champion(experiments, organization, "tiny-orders")
    assert answer(pipeline.model, pipeline.tokenizer) == answer(LlamaForCausalLM.from_pretrained(base), tokenizer)


def test_an_adapter_answers_through_pyfunc_too(adapter: Path, base: Path, organization: str) -> None:
    import mlflow

    mlflow_models.write_mlmodel(adapter, spec_of(organization, base), str(base))
    [text] = mlflow.pyfunc.load_model(str(adapter)).predict(["one two"])
    assert isinstance(text, str)


CLASSES = ["bad", "good", "slow"]


def classifier(base: Path) -> Any:
    """A classifier of three classes on the base's body."""
    torch.manual_seed(4)
    names: Any = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: at for at, name in enumerate(CLASSES)}}
    return LlamaForSequenceClassification.from_pretrained(base, num_labels=3, pad_token_id=2, **names).eval()


@pytest.mark.parametrize("kind", ["adapter", "model"])
def test_a_classifier_loads_through_its_champion_with_its_classes(
    kind: str,
    experiments: Experiments,
    organization: str,
    base: Path,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    spec, final, trained = spec_of(organization, base, kind), tmp_path / "final", classifier(base)
    spec.task = "sequence_classification"
    if kind == "adapter":
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="SEQ_CLS")
        trained = get_peft_model(trained, config).eval()
        trained.get_base_model().config.save_pretrained(final / "base")
    trained.save_pretrained(final)
    tokenizer.save_pretrained(final)
    mlflow_models.write_mlmodel(final, spec, str(base))
    mlflow_models.write_mlmodel(final, spec, str(base))
    mlflow_models.create_version(experiments, spec, final.as_uri(), run_id=None, tags={})
    loaded = load_champion(experiments, organization, "tiny-orders")
    inputs = tokenizer("one two", return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(**inputs).logits, trained(**inputs).logits)
    assert loaded("one two")[0]["label"] == CLASSES[int(trained(**inputs).logits.argmax())]


def test_an_adapter_on_a_classifier_of_other_classes_loads_with_its_own_classes(
    experiments: Experiments, organization: str, base: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    own, final = tmp_path / "of-three", tmp_path / "final"
    classifier(base).save_pretrained(own)
    tokenizer.save_pretrained(own)
    names: Any = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}
    of_two = LlamaForSequenceClassification.from_pretrained(own, ignore_mismatched_sizes=True, **names)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="SEQ_CLS")
    trained = get_peft_model(of_two, config).eval()
    trained.get_base_model().config.save_pretrained(final / "base")
    trained.save_pretrained(final)
    tokenizer.save_pretrained(final)
    spec = spec_of(organization, own)
    spec.task = "sequence_classification"
    mlflow_models.write_mlmodel(final, spec, str(own))
    mlflow_models.create_version(experiments, spec, final.as_uri(), run_id=None, tags={})
    loaded = load_champion(experiments, organization, "tiny-orders")
    inputs = tokenizer("one two", return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(**inputs).logits, trained(**inputs).logits)
    assert loaded("one two")[0]["label"] == ["no", "yes"][int(trained(**inputs).logits.argmax())]


def test_what_mlflow_needs_of_a_classifiers_base_is_stored_and_not_published(
    memory: Memory, experiments: Experiments, workshop: Any, base: Path, tokenizer: Any, tmp_path: Path
) -> None:
    with memory.database.session() as session:
        owner = organisations.create(session, f"acme-{secrets.token_hex(4)}")
    workshop.base_model(owner, path=str(base))
    workshop.upload(owner, rows=[{"text": f"one {n}", "label": CLASSES[n % 3]} for n in range(12)])
    job = workshop.job(owner, output_model="moods", task="sequence_classification")
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="SEQ_CLS")
    trained, final = get_peft_model(classifier(base), config), tmp_path / "final"
    trained.get_base_model().config.save_pretrained(final / "base")
    trained.save_pretrained(final)
    tokenizer.save_pretrained(final)
    row = hub.publish(memory, experiments, job, final, {})
    assert [name for name in row.files if name.startswith("base/")] == ["base/config.json"]
    assert load_champion(experiments, owner.name, "moods")("one two")[0]["label"] in CLASSES
    with memory.database.session() as session:
        hub.delete(session, memory, experiments, owner.id, "moods")
    assert memory.storage.list(row.storage_prefix) == []


def test_an_mlmodel_may_be_written_again(adapter: Path, base: Path, organization: str) -> None:
    spec = spec_of(organization, base)
    mlflow_models.write_mlmodel(adapter, spec, str(base))
    first = {path.relative_to(adapter) for path in adapter.rglob("*")}
    mlflow_models.write_mlmodel(adapter, spec, str(base))
    assert {path.relative_to(adapter) for path in adapter.rglob("*")} == first


def test_a_version_carries_its_lineage(experiments: Experiments, organization: str, base: Path) -> None:
    spec = spec_of(organization, base)
    spec.base_model.license, spec.base_model.source = "mit", "hf://acme/tiny@c0ffee"
    run_id = experiments.start_run(spec)
    version = mlflow_models.create_version(
        experiments, spec, "s3://bucket/a", run_id=run_id, tags={"manifest_sha256": "c" * 64}
    )
    with experiments.workspace(organization) as client:
        found = client.get_model_version_by_alias("tiny-orders", "champion")
    assert (str(found.version), found.run_id, found.source) == (version, run_id, "s3://bucket/a")
    lineage = ("job", "base_model", "base_model_sha256", "dataset_sha256", "code_version", "kind", "manifest_sha256")
    assert (found.tags["license"], found.tags["base_model_source"]) == ("mit", "hf://acme/tiny@c0ffee")
    assert [found.tags[key] for key in lineage] == [
        "ftjob-1", "tiny", "b" * 64, "a" * 64, "1.2.3", "adapter", "c" * 64,
    ]  # fmt: skip
    assert f"| base model | hf://acme/tiny@c0ffee | `{'b' * 64}` |" in found.description
    assert "mit" in found.description and f"`{'a' * 64}`" in found.description


def champion(experiments: Experiments, organization: str) -> str:
    with experiments.workspace(organization) as client:
        return str(client.get_model_version_by_alias("tiny-orders", "champion").version)


def test_a_job_makes_one_version_and_the_newest_is_champion(
    experiments: Experiments, organization: str, base: Path
) -> None:
    def publish(job_id: str) -> str:
        spec = spec_of(organization, base, job_id=job_id)
        return mlflow_models.create_version(experiments, spec, f"s3://b/{job_id}", run_id=None, tags={})

    assert [publish("ftjob-1"), publish("ftjob-2"), publish("ftjob-1")] == ["1", "2", "1"]
    assert champion(experiments, organization) == "2"
    mlflow_models.delete_version(experiments, organization, "tiny-orders", "2")
    assert champion(experiments, organization) == "1"
    mlflow_models.delete_version(experiments, organization, "tiny-orders", "2")
    mlflow_models.delete_version(experiments, organization, "tiny-orders", "1")
    with experiments.workspace(organization) as client:
        assert client.search_registered_models() == []


def test_deleting_a_name_is_for_its_organization_only(experiments: Experiments, organization: str, base: Path) -> None:
    mlflow_models.create_version(experiments, spec_of(organization, base), "s3://b/1", run_id=None, tags={})
    other = f"{organization}-b"
    mlflow_models.delete_model(experiments, other, "tiny-orders")
    mlflow_models.delete_version(experiments, other, "tiny-orders", "1")
    assert champion(experiments, organization) == "1"
    mlflow_models.delete_model(experiments, organization, "tiny-orders")
    mlflow_models.delete_model(experiments, organization, "tiny-orders")
    with experiments.workspace(organization) as client:
        assert client.search_registered_models() == []


def test_a_name_that_mlflow_does_not_take_is_refused(experiments: Experiments, organization: str, base: Path) -> None:
    spec = spec_of(organization, base)
    spec.output.name = "a/b"
    with pytest.raises(InvalidRequestError, match="'a/b'"):
        mlflow_models.create_version(experiments, spec, "s3://b/1", run_id=None, tags={})
