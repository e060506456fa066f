"""What is asked of data sets before they are trained on; see ``afinador.client.calls``."""

from __future__ import annotations

from typing import Any

from afinador.client.call import Call, Named, id_of

LONGEST_SECONDS = 600.0
"""A large file takes a tokenizer some minutes."""


def validate_dataset(file: Named, **asked: Any) -> Call:
    """Report on an uploaded file; see ``afinador.schemas.dataset_reports.ValidationRequest``. None values are left out."""
    return _about("validate", file, asked)


def preview_dataset(file: Named, **asked: Any) -> Call:
    """Show the first records of an uploaded file; see ``PreviewRequest`` there. None values are left out."""
    return _about("preview", file, asked)


def _about(verb: str, file: Named, asked: dict[str, Any]) -> Call:
    body = {"file": id_of(file), **{name: value for name, value in asked.items() if value is not None}}
    return Call(
        "POST",
        f"/datasets/{verb}",
        body=body,
        is_idempotent=True,
        also_answers=(422,),
        timeout_seconds=LONGEST_SECONDS,
    )
