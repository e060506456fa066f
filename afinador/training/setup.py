"""What is decided before the first step: device, precision, model, data, micro-batch."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from afinador.config.hyperparameters import Hyperparameters
from afinador.config.spec import BaseModelReference, FineTuningSpec
from afinador.errors import InvalidRequestError
from afinador.methods import METHODS
from afinador.models.families import context_length_of, pretrained_model_of
from afinador.models.headers import describe_model_folder
from afinador.models.loading import Precision
from afinador.models.publishing import is_adapted, name_base_model, write_weights
from afinador.training.bases import load_base
from afinador.training.optimization import STATE_BYTES

CPU_TOKENS_PER_PASS = 4096
"""Enough to keep a CPU busy; larger passes mostly take memory. Also the most where the free memory, which is never quite
the same, must not decide."""

_ACTIVATIONS_PER_TOKEN = 34
"""Bytes a layer keeps for the backward pass of one token, for each unit of width, in 16 bits (Korthikanti et al. 2022,
arXiv:2205.05198, section 4.1, without the attention matrix, which is never kept)."""

_BYTES_PER_GRADIENT = 4
_BYTES_PER_LOGIT = 12  # the logit, its float32 copy and its gradient


@dataclass(frozen=True)
class Computing:
    """Where and how precisely is computed.

    Attributes:
        device: ``cuda`` if there is one, else ``cpu``.
        precision: Of matrix products; sums, losses and trained weights are float32 in either case.
    """

    device: torch.device
    precision: Precision

    @property
    def device_name(self) -> str:
        """Name for people, such as ``NVIDIA H100`` or ``cpu``."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"


@dataclass(frozen=True)
class Subject:
    """The model to train, with its tokenizer.

    Attributes:
        classes: By their ids; none unless it classifies.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    computing: Computing
    base: BaseModelReference
    classes: tuple[str, ...] = ()

    @property
    def trained_parameters(self) -> list[nn.Parameter]:
        """Parameters that the optimizer changes."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @property
    def published_dtype(self) -> torch.dtype | None:
        """The precision in which a whole model is published, which is that of its base; None of an adapter."""
        if is_adapted(self.model):
            return None
        dtype: torch.dtype = getattr(torch, describe_model_folder(Path(self.base.path)).dtype, torch.float32)
        return dtype

    def write_weights(self, folder: Path, *, trained: Mapping[str, Tensor] | None = None) -> None:
        """Write what was trained as it is published, with the tokenizer beside it.

        ``trained`` replaces weights of the model; see ``afinador.models.publishing.write_weights``.
        """
        write_weights(self.model, self.tokenizer, folder, dtype=self.published_dtype, trained=trained)
        if is_adapted(self.model):
            name_base_model(folder, self.base)


@dataclass(frozen=True)
class MicroBatches:
    """How a batch is cut into forward passes.

    Attributes:
        examples: Of one forward pass.
        tokens: Padded tokens of the largest one.
    """

    examples: int
    tokens: int

    @property
    def row_tokens(self) -> int:
        """Tokens of the longest example, which is what a packed row may hold."""
        return self.tokens // self.examples


def find_computing(precision: str) -> Computing:
    """Find device and precision.

    Args:
        precision: ``auto`` takes bfloat16 where the hardware has it, which is asked of GPUs only.

    Raises:
        InvalidRequestError: bfloat16 was asked for on a GPU that does not have it.
    """
    if not torch.cuda.is_available():
        return Computing(torch.device("cpu"), "bfloat16" if precision == "bfloat16" else "float32")
    device = torch.device("cuda", torch.cuda.current_device())
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bfloat16" and not has_bfloat16:
        raise InvalidRequestError(
            f"precision is 'bfloat16', which {torch.cuda.get_device_name(device)} does not have; use 'auto' or "
            "'float32'.",
            param="hyperparameters.precision",
        )
    return Computing(device, "bfloat16" if has_bfloat16 and precision != "float32" else "float32")


def seed_everything(seed: int) -> None:
    """Seed Python's and torch's generators on all devices."""
    random.seed(seed)
    torch.manual_seed(seed)


def settle_determinism(deterministic: bool) -> None:
    """Allow only algorithms that repeat to the bit, or any."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
        torch.backends.cudnn.benchmark = False
    torch.backends.cuda.enable_mem_efficient_sdp(not deterministic)  # its backward pass adds in no fixed order
    torch.use_deterministic_algorithms(deterministic)


def load_subject(spec: FineTuningSpec) -> Subject:
    """Load the base model and make it trainable by the spec's method.

    Frozen weights are held in the computing precision; those of full fine-tuning in float32, since small updates
    vanish in 16 bits.

    Raises:
        ModelError: See ``load_base``.
        DataError: See ``load_base``.
        InvalidRequestError: See ``find_computing`` and the method.
    """
    hyperparameters = spec.hyperparameters
    settle_determinism(hyperparameters.deterministic)
    computing = find_computing(hyperparameters.precision)
    weights_precision: Precision = "float32" if spec.tuning_method == "full" else computing.precision
    base = load_base(spec, spec.base_model.path, precision=weights_precision, device=computing.device)
    seed_everything(spec.seed)
    model = METHODS[spec.tuning_method](base.model, base.settings(hyperparameters))
    if hyperparameters.gradient_checkpointing:
        # LLM.int8 keeps its inputs where checkpointing does not find them, unless the first pass records no graph at all.
        base.model.activation_checkpointing_enable(
            activation_checkpointing_kwargs={"use_reentrant": hyperparameters.quantization_bits == 8}
        )
        base.model.enable_input_require_grads()  # the frozen embeddings would end the graph before the first adapter
    return Subject(model, base.tokenizer, computing, spec.base_model, base.classes)


def load_trained(spec: FineTuningSpec, folder: Path) -> Subject:
    """Load what a run has made, from its folder ``final``, as ``load_subject`` would have left it after training.

    Raises:
        ModelError: See ``load_base``.
    """
    settle_determinism(spec.hyperparameters.deterministic)
    computing = find_computing(spec.hyperparameters.precision)
    if spec.tuning_method == "full":
        whole = load_base(spec, folder, precision="float32", device=computing.device)
        return Subject(whole.model, whole.tokenizer, computing, spec.base_model, whole.classes)
    base = load_base(spec, spec.base_model.path, precision=computing.precision, device=computing.device)
    model = PeftModel.from_pretrained(base.model, str(folder), is_trainable=True)
    return Subject(model, base.tokenizer, computing, spec.base_model, base.classes)


def usable_length(max_length: int, model: nn.Module) -> int:
    """Return ``max_length``, or the model's context if that is shorter."""
    context = context_length_of(model)
    return max_length if context is None else min(max_length, context)


def choose_micro_batches(subject: Subject, hyperparameters: Hyperparameters, longest: int) -> MicroBatches:
    """Choose how many examples a forward pass takes: the rule of ``docs/training.md``.

    ``micro_batch_size`` if it is given. Else half of the free memory is divided by what a token is estimated to need
    (on a CPU, and where runs must repeat, at most 4096 tokens), that by the longest example, and rounded down to a power of two.
    """
    examples = hyperparameters.micro_batch_size
    if examples is None:
        free_bytes = _free_bytes(subject, hyperparameters)
        tokens = free_bytes / 2 / _bytes_per_token(subject, hyperparameters.gradient_checkpointing)
        if subject.computing.device.type == "cpu" or hyperparameters.deterministic:
            tokens = min(tokens, CPU_TOKENS_PER_PASS)
        examples = 2 ** int(math.log2(max(tokens / longest, 1)))
    examples = min(examples, hyperparameters.batch_size)
    return MicroBatches(examples, examples * longest)


def _free_bytes(subject: Subject, hyperparameters: Hyperparameters) -> float:
    device = subject.computing.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    per_parameter = _BYTES_PER_GRADIENT + STATE_BYTES[hyperparameters.optimizer]
    return free - per_parameter * sum(p.numel() for p in subject.trained_parameters)


def _bytes_per_token(subject: Subject, gradient_checkpointing: bool) -> float:
    model = pretrained_model_of(subject.model)
    config = model.config
    value_bytes = 2 if subject.computing.precision == "bfloat16" else 4
    per_layer = _ACTIVATIONS_PER_TOKEN * config.hidden_size * value_bytes / 2
    logits = 0 if model.get_output_embeddings() is None else config.vocab_size * _BYTES_PER_LOGIT
    if gradient_checkpointing:
        return config.num_hidden_layers * config.hidden_size * value_bytes + per_layer + logits
    return config.num_hidden_layers * per_layer + logits
