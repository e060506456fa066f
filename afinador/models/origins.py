"""What a published version came from, for people: in the model card, and in MLflow."""

from __future__ import annotations

from afinador.config.spec import FineTuningSpec


def origin_table(spec: FineTuningSpec) -> list[str]:
    """Return what a version came from, each with its hash, as the lines of a table in Markdown."""
    base, file = spec.base_model, spec.validation_file
    return [
        "| | name | SHA-256 |",
        "|---|---|---|",
        f"| base model | {base.source or base.name} | `{base.sha256}` |",
        f"| training file | {spec.training_file.name} | `{spec.training_file.sha256}` |",
        *([f"| validation file | {file.name} | `{file.sha256}` |"] if file else []),
        *_start_row(spec),
    ]


def _start_row(spec: FineTuningSpec) -> list[str]:
    start = spec.start_from
    if start is None:
        return []
    what = "its training goes on" if start.state == "whole" else "its weights"
    hashed = "manifest" if start.kind == "checkpoint" else "all files"
    return [f"| {start.kind} that it started from ({what}) | {start.name} | `{start.manifest_sha256}` ({hashed}) |"]
