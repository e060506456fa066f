"""From a folder to a model, safely: safetensors only, no foreign code, no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import is_flash_attn_2_available

from afinador.config.architectures import CAUSAL_ARCHITECTURES, check_parameter_count
from afinador.errors import AfinadorError, InvalidRequestError, ModelError, UnsupportedModelError
from afinador.models.headers import describe_model_folder
from afinador.models.quantisation import Bits, loading_arguments, misshapen_layers, settle_quantised
from afinador.wording import first_line

Precision = Literal["float32", "bfloat16"]


def load_causal_lm(
    path: Path | str,
    *,
    precision: Precision,
    device: torch.device | str,
    attention: str = "auto",
    quantization_bits: Bits | None = None,
) -> PreTrainedModel:
    """Return a causal language model, in evaluation mode.

    Args:
        path: A folder as ``save_pretrained`` writes it.
        precision: Of the weights in memory, whatever they are stored in.
        device: Where the weights go.
        attention: ``sdpa``, ``eager``, ``flash_attention_2``, or ``auto`` for what transformers chooses.
        quantization_bits: Of the linear layers but the last; None leaves them in ``precision`` too.

    Raises:
        InvalidRequestError: An attention that the architecture, or this machine, does not have.
        ModelTooLargeError: More than 15B parameters by its headers; no weight has been read then.
        UnsupportedModelError: Another architecture than those trained, no safetensors, code of its own, weights that
            are quantised already, or nothing to quantise.
        ModelError: Configuration and weights do not fit together.
    """
    folder = Path(path)
    require_trained_architecture(folder, CAUSAL_ARCHITECTURES)
    options = loading_arguments(quantization_bits, getattr(torch, precision), device)
    model, _ = load_checked(
        AutoModelForCausalLM, folder, precision=precision, device=device, attention=attention, **options
    )
    if quantization_bits is not None:
        settle_quantised(model, str(folder))
    return model.to(device).eval()


def require_trained_architecture(folder: Path, architectures: Sequence[str]) -> None:
    """Do nothing if a folder holds a model that may be trained.

    Raises:
        ModelTooLargeError: More than 15B parameters by its headers; no weight has been read then.
        UnsupportedModelError: None of these architectures, no safetensors, or code of its own.
    """
    description = describe_model_folder(folder)
    if description.architecture not in architectures:
        raise UnsupportedModelError(
            f"{folder} is a {description.architecture!r}; this version trains: {', '.join(architectures)}.",
            param="model",
        )
    check_parameter_count(str(folder), description.parameters)


def load_checked(
    auto_class: Any,
    folder: Path,
    *,
    precision: Precision,
    device: torch.device | str,
    attention: str = "auto",
    replaceable: Callable[[PreTrainedModel], Sequence[str]] = lambda model: (),
    **options: Any,
) -> tuple[Any, list[str]]:
    """Load a model of which every weight was in the folder, but those that may be replaced.

    Args:
        auto_class: One of transformers' ``AutoModelFor…``.
        folder: As ``save_pretrained`` writes it.
        precision: Of the weights in memory.
        device: Where the model will compute.
        attention: See ``load_causal_lm``.
        replaceable: Names the layers of a model whose weights the folder may lack, or have in another shape.
        options: Further arguments of ``from_pretrained``.

    Returns:
        The model, and the names of the weights that the folder lacks.

    Raises:
        InvalidRequestError: An attention that the architecture, or this machine, does not have.
        ModelError: Configuration and weights do not fit together.
    """
    if attention == "flash_attention_2":
        _require_flash_attention(precision, torch.device(device))
    if attention != "auto":
        options["attn_implementation"] = attention
    # Weights of another shape are told by the report, and refused below; transformers' own error does not name them.
    fixed = {"trust_remote_code": False, "use_safetensors": True, "local_files_only": True}
    fixed["ignore_mismatched_sizes"] = True
    try:
        loaded: Any = auto_class.from_pretrained(
            str(folder), dtype=getattr(torch, precision), output_loading_info=True, **fixed, **options
        )
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise _not_loaded(folder, attention, error) from error
    model, report = loaded
    report["mismatched_keys"] = [*(report.get("mismatched_keys") or []), *misshapen_layers(model)]
    _require_all_weights(folder, model, report, tuple(f"{name}." for name in replaceable(model)))
    return model, sorted(map(str, report.get("missing_keys") or []))


def _not_loaded(folder: Path, attention: str, error: Exception) -> AfinadorError:
    if attention != "auto" and "does not support" in str(error):
        return InvalidRequestError(
            f"attention is {attention!r}, which {describe_model_folder(folder).architecture} does not support; "
            "use 'auto'.",
            param="hyperparameters.attention",
        )
    return ModelError(
        f"The model in {folder} cannot be loaded: {first_line(error)}. Check that config.json belongs to the "
        "weights, or copy the model again."
    )


def _require_flash_attention(precision: Precision, device: torch.device) -> None:
    lacks = None
    if device.type != "cuda":
        lacks = f"a GPU; this machine computes on the {device.type.upper()}"
    elif not is_flash_attn_2_available():
        lacks = "the package flash-attn, which is not installed here"
    elif precision != "bfloat16":
        lacks = "weights in bfloat16; full fine-tuning and precision: float32 hold them in float32"
    if lacks:
        raise InvalidRequestError(
            f"attention is 'flash_attention_2', which needs {lacks}. Use 'auto', 'sdpa' or 'eager'.",
            param="hyperparameters.attention",
        )


def _require_all_weights(folder: Path, model: PreTrainedModel, report: dict[str, Any], new: tuple[str, ...]) -> None:
    """Refuse weights that transformers would have replaced by random numbers and a warning, but new layers."""
    problems = {"missing_keys": "are missing", "mismatched_keys": "have another shape than config.json says"}
    for key, what in problems.items():
        # transformers tells shapes beside the names of the second kind.
        names = sorted(entry if isinstance(entry, str) else str(entry[0]) for entry in report.get(key) or [])
        names = [name for name in names if not name.startswith(new)]
        if names:
            raise ModelError(
                f"{len(names)} weights of {type(model).__name__} {what} in {folder}, the first is {names[0]}. "
                "Copy the model again, or correct its config.json."
            )
