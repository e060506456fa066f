"""The model card: the README.md beside the weights that are published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from afinador.config.spec import FineTuningSpec
from afinador.data.tokens.classified import ClassForm, in_a_cell
from afinador.data.tokens.prompting import PromptForm
from afinador.models.licenses import fields_of_card
from afinador.models.origins import origin_table
from afinador.models.quantisation import form_of_weights

CLASSES_IN_CARD = 20


def model_card(
    spec: FineTuningSpec,
    evaluation: dict[str, Any],
    form: PromptForm | ClassForm,
    saved_whole: Sequence[str] = (),
    *,
    step: int | None = None,
) -> str:
    """Return the README.md of a published version.

    Args:
        spec: What was asked for.
        evaluation: As in ``evaluation.json``.
        form: How prompts were written, or which classes there are.
        saved_whole: Layers that an adapter holds whole; a classifier's head is one that nobody has to ask for.
        step: Of a checkpoint: optimizer steps done.
    """
    return "\n".join(
        [
            _front_matter(spec, evaluation),
            *_heading(spec, step),
            "",
            *origin_table(spec),
            "",
            "## Base against tuned",
            "",
            *_figures(evaluation),
            "",
            "## How to classify" if isinstance(form, ClassForm) else "## How to prompt",
            "",
            form.sentences(),
            "",
            "```python",
            _how_to_load(spec),
            "",
            form.code(),
            "```",
            "",
            "## Hyperparameters",
            "",
            f"Method `{spec.tuning_method}`, seed {spec.seed}.{_quantisation(spec)}",
            "",
            "| name | value |",
            "|---|---|",
            *_hyperparameter_rows(spec, saved_whole),
            "",
        ]
    )


def _heading(spec: FineTuningSpec, step: int | None) -> list[str]:
    made_by = f"fine-tuned by Afinador {spec.code_version} (job `{spec.job_name}`, `{spec.job_id}`)"
    of_step = "" if step is None else f": the checkpoint after optimizer step {step}"
    return [
        f"# {spec.output.name if step is None else spec.output.alias_of_step(step)}",
        "",
        f"{_WHAT[spec.output.kind]} of **{spec.base_model.name}**, {made_by}{of_step}.",
    ]


def _hyperparameter_rows(spec: FineTuningSpec, saved_whole: Sequence[str]) -> list[str]:
    values = spec.hyperparameters.model_dump(exclude_none=True)
    if saved_whole:
        values["modules_to_save"] = list(saved_whole)
    return [f"| {name} | {value} |" for name, value in values.items()]


def _quantisation(spec: FineTuningSpec) -> str:
    bits = spec.hyperparameters.quantization_bits
    if bits is None:
        return ""
    return (
        f" The base model was held in {form_of_weights(bits, '')} while training; the adapter is in float32 and fits the "
        "base model as it is, quantised or not."
    )


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

_HOW_TO_LOAD_CLASSIFIER = {
    "adapter": """from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

folder = "path/to/this/folder"
config = AutoConfig.from_pretrained(f"{{folder}}/base")  # the base model's, with num_labels, id2label and label2id
base = AutoModelForSequenceClassification.from_pretrained("{base}", config=config{options})
model = PeftModel.from_pretrained(base, folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)""",
    "model": """from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder = "path/to/this/folder"
model = AutoModelForSequenceClassification.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)""",
}

_FIGURES = {
    "loss": "loss (nats a token)",
    "perplexity": "perplexity",
    "accuracy": "token accuracy",
    "exact_match": "exact match",
}
_CLASSIFIER_FIGURES = {"loss": "loss (nats a text)", "accuracy": "accuracy", "macro_f1": "macro F1"}


def _how_to_load(spec: FineTuningSpec) -> str:
    base = spec.base_model.public_name if spec.base_model.source else f"path/to/{spec.base_model.name}"
    if spec.task != "sequence_classification":
        return _HOW_TO_LOAD[spec.output.kind].format(base=base)
    # A base made for other classes has a head of another shape, which the adapter replaces.
    other_head = spec.base_model.architecture.endswith("ForSequenceClassification")
    options = ", ignore_mismatched_sizes=True" if other_head else ""
    return _HOW_TO_LOAD_CLASSIFIER[spec.output.kind].format(base=base, options=options)


def _front_matter(spec: FineTuningSpec, evaluation: dict[str, Any]) -> str:
    adapter = spec.output.kind == "adapter"
    metadata: dict[str, Any] = {
        "base_model": spec.base_model.public_name,
        "base_model_relation": "adapter" if adapter else "finetune",
        **fields_of_card(Path(spec.base_model.path), spec.base_model.license),
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-classification" if spec.task == "sequence_classification" else "text-generation",
        "tags": ["afinador", spec.tuning_method, *([spec.domain] if spec.domain else []), *spec.tags],
        "metrics": [
            "f1" if key == "macro_f1" else key
            for key in ("perplexity", "accuracy", "exact_match", "macro_f1")
            if key in evaluation.get("tuned", {})
        ],
    }
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---\n"


def _figures(evaluation: dict[str, Any]) -> list[str]:
    if "tuned" not in evaluation:
        return [f"Not measured: {evaluation.get('skipped', 'there is no evaluation')}"]
    base, tuned = evaluation["base"], evaluation["tuned"]
    rows = [
        f"| {label} | {base[key]:.4f} | {tuned[key]:.4f} |"
        for key, label in (_CLASSIFIER_FIGURES if "macro_f1" in tuned else _FIGURES).items()
        if tuned.get(key) is not None and base.get(key) is not None
    ]
    generated = f" ({tuned['generated']} of them answered by generation)" if tuned.get("generated") else ""
    heading = "base, with an untrained head" if base.get("head") == "untrained" else "base"
    measured_with = f", with {evaluation['measured_with']}" if "measured_with" in evaluation else ""
    return [
        f"On {tuned['examples']} held-out examples{generated}{measured_with}:",
        "",
        f"| | {heading} | tuned |",
        "|---|---|---|",
        *rows,
        *_rows_of_classes(evaluation.get("classes") or []),
    ]


def _rows_of_classes(classes: list[dict[str, Any]]) -> list[str]:
    """Return a table of the tuned model's figures for each class, those that it finds worst first."""
    if not classes:
        return []
    worst_first = sorted(classes, key=lambda row: row["f1"])[:CLASSES_IN_CARD]
    shown = f", the {len(worst_first)} worst of {len(classes)}" if len(worst_first) < len(classes) else ""
    return [
        "",
        f"Each class of the tuned model{shown}:",
        "",
        "| class | examples | precision | recall | F1 |",
        "|---|---|---|---|---|",
        *(
            f"| {in_a_cell(row['class'])} | {row['examples']} | {row['precision']:.4f} | {row['recall']:.4f} "
            f"| {row['f1']:.4f} |"
            for row in worst_first
        ),
    ]
