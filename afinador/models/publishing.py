"""What is published: weights as PEFT or transformers read them, the tokenizer, and a model card.

Never optimizer states, never a pickle.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from afinador.config.spec import BaseModelReference, FineTuningSpec
from afinador.data.prompting import PromptForm
from afinador.models.licenses import LICENSE_FILES
from afinador.storage import require_free_space


def write_weights(model: nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a PEFT directory for an adapted model, else a transformers directory, with the tokenizer beside.

    Args:
        model: As trained; the files hold its weights in the precision they have in memory.
        tokenizer: With its chat template, if it has one.
        folder: Made if it is not there.

    Raises:
        InsufficientStorageError: The disk would have less than the margin left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = model.parameters() if not is_adapted(model) else (p for p in model.parameters() if p.requires_grad)
    require_free_space(folder, sum(part.numel() * part.element_size() for part in parts), f"Writing {folder.name}")
    cast(PreTrainedModel, model).save_pretrained(str(folder), safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's own card says nothing about this run
    tokenizer.save_pretrained(str(folder))


def name_base_model(folder: Path, base: BaseModelReference) -> None:
    """Write into an adapter's configuration what others call its base, in the place of a folder of this machine.

    ``PeftModel.from_pretrained(base, folder)`` needs neither.
    """
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": base.public_name, "revision": base.revision}
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def pass_on_license(base_folder: Path, folder: Path) -> None:
    """Copy the texts of the base model's licence: most licences ask for that of whoever passes on what came of it."""
    for name in (*LICENSE_FILES, "NOTICE"):
        if (base_folder / name).is_file():
            shutil.copyfile(base_folder / name, folder / name)


def is_adapted(model: nn.Module) -> bool:
    """Return whether a model carries adapters."""
    return hasattr(model, "peft_config")


def count_adapter_parameters(model: nn.Module) -> int:
    """Return how many parameters adapters have put beside those of the base; copies of whole layers count too."""
    if not is_adapted(model):
        return 0
    added = ("lora_", "modules_to_save.")
    return sum(p.numel() for name, p in model.named_parameters() if any(part in name for part in added))


def cast_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Change the precision of all weights in place; buffers such as rotary frequencies keep theirs."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def model_card(spec: FineTuningSpec, evaluation: dict[str, Any], form: PromptForm) -> str:
    """Return the README.md of a published version.

    Args:
        spec: What was asked for.
        evaluation: As in ``evaluation.json``.
        form: How prompts were written.
    """
    base = spec.base_model
    return "\n".join(
        [
            _front_matter(spec, evaluation),
            f"# {spec.output.name}",
            "",
            f"{_WHAT[spec.output.kind]} of **{base.name}**, fine-tuned by Afinador {spec.code_version} "
            f"(job `{spec.job_name}`, `{spec.job_id}`).",
            "",
            "| | name | SHA-256 |",
            "|---|---|---|",
            f"| base model | {base.source or base.name} | `{base.sha256}` |",
            f"| training file | {spec.training_file.name} | `{spec.training_file.sha256}` |",
            *_validation_row(spec),
            "",
            "## Base against tuned",
            "",
            *_figures(evaluation),
            "",
            "## How to prompt",
            "",
            form.sentences(),
            "",
            "```python",
            _HOW_TO_LOAD[spec.output.kind].format(base=base.public_name if base.source else f"path/to/{base.name}"),
            "",
            form.code(),
            "```",
            "",
            "## Hyperparameters",
            "",
            f"Method `{spec.tuning_method}`, seed {spec.seed}.",
            "",
            "| name | value |",
            "|---|---|",
            *_hyperparameter_rows(spec),
            "",
        ]
    )


def _validation_row(spec: FineTuningSpec) -> list[str]:
    file = spec.validation_file
    return [f"| validation file | {file.name} | `{file.sha256}` |"] if file else []


def _hyperparameter_rows(spec: FineTuningSpec) -> list[str]:
    values = spec.hyperparameters.model_dump(exclude_none=True)
    return [f"| {name} | {value} |" for name, value in values.items()]


_WHAT = {"adapter": "A LoRA adapter", "model": "A full fine-tune"}

_HOW_TO_LOAD = {
    "adapter": """from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "path/to/this/folder"
base = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(base, folder)
tokenizer = AutoTokenizer.from_pretrained(folder)""",
    "model": """from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "path/to/this/folder"
model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)""",
}

_FIGURES = {
    "loss": "loss (nats a token)",
    "perplexity": "perplexity",
    "accuracy": "token accuracy",
    "exact_match": "exact match",
}


def _front_matter(spec: FineTuningSpec, evaluation: dict[str, Any]) -> str:
    adapter = spec.output.kind == "adapter"
    metadata: dict[str, Any] = {
        "base_model": spec.base_model.public_name,
        "base_model_relation": "adapter" if adapter else "finetune",
        "license": spec.base_model.license or "unknown",
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["afinador", spec.tuning_method, *([spec.domain] if spec.domain else []), *spec.tags],
        "metrics": [key for key in ("perplexity", "accuracy", "exact_match") if key in evaluation.get("tuned", {})],
    }
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---\n"


def _figures(evaluation: dict[str, Any]) -> list[str]:
    if "tuned" not in evaluation:
        return [f"Not measured: {evaluation.get('skipped', 'there is no evaluation')}"]
    base, tuned = evaluation["base"], evaluation["tuned"]
    rows = [
        f"| {label} | {base[key]:.4f} | {tuned[key]:.4f} |"
        for key, label in _FIGURES.items()
        if tuned.get(key) is not None and base.get(key) is not None
    ]
    generated = f" ({tuned['generated']} of them answered by generation)" if tuned.get("generated") else ""
    return [f"On {tuned['examples']} held-out examples{generated}:", "", "| | base | tuned |", "|---|---|---|", *rows]
