"""From whatever ended a run to a reason that a person can act on."""

from __future__ import annotations

from pathlib import Path

from afinador.config.hyperparameters import Hyperparameters
from afinador.config.spec import FineTuningSpec
from afinador.errors import AfinadorError, InsufficientStorageError, TrainingError
from afinador.storage import is_disk_full
from afinador.training.job_file import LOCAL


def told(error: Exception, spec: FineTuningSpec, run_folder: Path) -> AfinadorError:
    """Return what ``explained`` does; of a service's base model the name stands in it, not the folder on its machine."""
    failure = explained(error, spec.hyperparameters)
    if spec.job_id != LOCAL:
        failure.name_instead_of(run_folder, "the run directory")
        if spec.base_model.path:
            failure.name_instead_of(spec.base_model.path, repr(spec.base_model.name))
    return failure


def explained(error: Exception, hyperparameters: Hyperparameters) -> AfinadorError:
    """Return a deliberate error for any error: itself, out of memory, disk full, or unexpected."""
    if isinstance(error, AfinadorError):
        return error
    if _is_out_of_memory(error):
        micro = hyperparameters.micro_batch_size
        return TrainingError(
            f"The memory did not suffice (micro_batch_size {micro or 'chosen by itself'}, max_length "
            f"{hyperparameters.max_length}). Set micro_batch_size to {max(1, (micro or 2) // 2)}, a smaller max_length, "
            "or gradient_checkpointing: true; or choose a smaller base model.",
            code="out_of_memory",
        )
    if is_disk_full(error):
        place = getattr(error, "filename", None) or error
        return InsufficientStorageError(f"The disk is full: {place}. Free some space and try again.")
    first_line = (str(error).strip() or "no message").splitlines()[0]
    return TrainingError(
        f"Training ended unexpectedly with {type(error).__name__}: {first_line[:300]}. "
        "The run's log holds the whole story; starting the job again may help.",
        code="internal_error",
    )


def _is_out_of_memory(error: Exception) -> bool:
    """CUDA has a class of its own for it, the CPU allocator only a sentence."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "not enough memory" in str(error))
    )
