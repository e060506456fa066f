"""Models and adapters in MLflow: the ``MLmodel`` file beside the weights, and registered versions.

MLflow's own ``log_model`` is of no use here: it saves the base model again, and loads everything to look at it.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.config.spec import FineTuningSpec
from afinador.errors import InvalidRequestError
from afinador.models.origins import origin_table
from registry.tracking.experiments import Experiments
from registry.tracking.mlflow_classifiers import write_base_for_mlflow
from registry.tracking.mlflow_records import lineage_tags
from registry.tracking.mlflow_store import prepare_environment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
"""Alias of the newest version that was not held back: ``models:/NAME@champion``."""

SHOWN_MLMODEL = "shown/MLmodel"
"""The ``MLmodel`` of an adapter as members get it, which names its base: the one for MLflow says where that lies here."""

_HELD_BACK = "held_back"
"""Tag of a version that must not become the champion, with the reason."""

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
)


def write_mlmodel(folder: Path, spec: FineTuningSpec, base_path: str) -> None:
    """Make a published folder loadable by ``mlflow.transformers`` and ``mlflow.pyfunc``.

    Writes ``MLmodel``, for an adapter ``SHOWN_MLMODEL`` too, and a copy of the tokenizer where MLflow looks for it. Doing
    it again replaces them.

    Args:
        folder: A PEFT directory, or a transformers one for whole weights; tokenizer included.
        spec: What was trained.
        base_path: Folder of the base model, which an adapter names. Where it lies elsewhere:
            ``mlflow.transformers.load_model(uri, base_model_path=…)``, but for classifiers (see ``registry.tracking.mlflow_classifiers``).
    """
    prepare_environment()
    from mlflow.models import Model
    from mlflow.transformers import FLAVOR_NAME

    tokenizer = folder / "components" / "tokenizer"
    tokenizer.mkdir(parents=True, exist_ok=True)
    for name in _TOKENIZER_FILES:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, tokenizer / name)
    classifies = spec.task == "sequence_classification"
    weights = {"model_binary": "."}
    if spec.output.kind == "adapter":
        weights = {"peft_adaptor": ".", "local_base_model_path": base_path}
        if classifies:
            write_base_for_mlflow(folder, base_path)
            weights = {"peft_adaptor": ".", "model_binary": "base"}
    description = Model(run_id=None, metadata={"job": spec.job_id, "base_model": spec.base_model.name})
    description.add_flavor(
        FLAVOR_NAME,
        task="text-classification" if classifies else "text-generation",
        instance_type="TextClassificationPipeline" if classifies else "TextGenerationPipeline",
        # Classes that transformers does not know would be loaded with trust_remote_code.
        pipeline_model_type="AutoModelForSequenceClassification" if classifies else spec.base_model.architecture,
        tokenizer_type="AutoTokenizer",
        components=["tokenizer"],
        source_model_name=spec.base_model.name,
        **weights,
    )
    description.add_flavor(
        "python_function",
        loader_module="mlflow.transformers",
        python_version=platform.python_version(),
        env={},
    )
    description.save(folder / "MLmodel")
    if "local_base_model_path" in weights:
        description.flavors[FLAVOR_NAME]["local_base_model_path"] = spec.base_model.public_name
        (folder / SHOWN_MLMODEL).parent.mkdir(exist_ok=True)
        description.save(folder / SHOWN_MLMODEL)


def create_version(
    experiments: Experiments,
    spec: FineTuningSpec,
    source: str,
    *,
    run_id: str | None,
    tags: dict[str, str],
    held_back: str | None = None,
) -> str:
    """Register what a job made; the newest version that is not held back becomes the champion.

    Args:
        experiments: The gateway.
        spec: What was trained; its output name is the model's, its alias the version's.
        source: Address of the folder, ``file://…`` or ``s3://…``.
        run_id: The job's run, or None.
        tags: What is known beside the lineage, such as the hash of the manifest or the step of a checkpoint.
        held_back: Why this version must not become the champion; None when it may.

    Returns:
        MLflow's version, the same one when it is asked for twice.

    Raises:
        ServiceUnavailableError: MLflow is away; nothing is lost, the same call may be repeated.
    """
    name = spec.output.name
    with experiments.workspace(spec.organization) as client:
        _make_model(
            client,
            name,
            {"kind": spec.output.kind, "organization": spec.organization, "organization_id": spec.organization_id},
        )
        found = _versions(client, name)
        mine = next((version for version in found if version.tags.get("alias") == spec.output.alias), None)
        if mine is None:
            own = {"kind": spec.output.kind, "alias": spec.output.alias}
            if held_back is not None:
                own[_HELD_BACK] = held_back
            mine = client.create_model_version(
                name,
                source,
                run_id=run_id,
                tags=lineage_tags(spec) | own | tags,
                description=_described(spec),
                await_creation_for=0,
            )
            found.append(mine)
        _crown_newest(client, name, found)
        return str(mine.version)


def _described(spec: FineTuningSpec) -> str:
    """Say in Markdown what a version came from: MLflow shows a description whole, and of many tags the first few."""
    by = (
        f"{spec.tuning_method} fine-tune of {spec.base_model.name} on {spec.training_file.name}, by job {spec.job_name}"
    )
    return "\n".join(
        [by, "", *origin_table(spec), "", f"License of the base model: {spec.base_model.license or 'unknown'}"]
    )


def champion_tags(experiments: Experiments, organization: str, name: str) -> dict[str, str] | None:
    """Return the tags of the champion of a name, ``job`` and ``alias`` among them, or None when it has none.

    Raises:
        ServiceUnavailableError: MLflow is away.
    """
    with experiments.workspace(organization) as client:
        champion = _newest_not_held_back(_versions(client, name))
        return None if champion is None else dict(champion.tags)


def delete_version(experiments: Experiments, organization: str, name: str, version: str) -> None:
    """Delete a version; a name without versions goes too.

    The newest one left that is not held back is the champion then.

    Nothing happens when there is no such version.
    """
    with experiments.workspace(organization) as client:
        found = _versions(client, name)
        left = [entry for entry in found if str(entry.version) != version]
        if not left:
            _delete_name(client, name)
        elif len(left) < len(found):
            client.delete_model_version(name, version)
            _crown_newest(client, name, left)


def delete_model(experiments: Experiments, organization: str, name: str) -> None:
    """Delete a name with all its versions; nothing happens when there is no such name."""
    with experiments.workspace(organization) as client:
        _delete_name(client, name)


def _make_model(client: MlflowClient, name: str, tags: dict[str, str]) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, tags=tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_ALREADY_EXISTS":
            return
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise InvalidRequestError(f"MLflow takes no model of the name {name!r}: {error.message}") from error
        raise


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _crown_newest(client: MlflowClient, name: str, versions: list[ModelVersion]) -> None:
    champion = _newest_not_held_back(versions)
    if champion is not None:
        client.set_registered_model_alias(name, CHAMPION, str(champion.version))
    else:
        client.delete_registered_model_alias(name, CHAMPION)


def _newest_not_held_back(versions: list[ModelVersion]) -> ModelVersion | None:
    candidates = [version for version in versions if _HELD_BACK not in version.tags]
    return max(candidates, key=lambda version: int(version.version), default=None)


def _delete_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.delete_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
