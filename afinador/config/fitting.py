"""What a job cannot use of its hyperparameters: refused where asked for, left out where it is only the operator's default."""

from __future__ import annotations

from afinador.config.hyperparameters import Hyperparameters, shipped
from afinador.config.promotion import METRICS, NOT_MEASURED, Condition
from afinador.errors import InvalidRequestError
from afinador.schemas.jobs import Task, TuningMethod


def refuse_or_leave_out(key: str, said: str, hyperparameters: Hyperparameters, sources: dict[str, str]) -> None:
    """Refuse a hyperparameter that this job cannot use; a default of the operator, who meant other jobs, is left out.

    Args:
        key: Of the hyperparameter.
        said: The refusal.
        hyperparameters: Of the job; changed in place.
        sources: Where each comes from; changed in place.

    Raises:
        InvalidRequestError: It was asked for.
    """
    if sources.get(key) != "operator":
        raise InvalidRequestError(said, param=f"hyperparameters.{key}")
    setattr(hyperparameters, key, shipped("base")[key]["default"])
    sources[key] = "default"


def fit_to_validation(has_validation: bool, hyperparameters: Hyperparameters, sources: dict[str, str]) -> None:
    """Let what looks at figures of a validation file be asked for only with one.

    Raises:
        InvalidRequestError: ``early_stopping_patience`` or ``promote_if`` without one.
    """
    for key in () if has_validation else ("early_stopping_patience", "promote_if"):
        if getattr(hyperparameters, key) is not None:
            said = (
                f"{key} needs a validation file, for it looks at figures that are measured on one. "
                f"Give validation_file (or validation_dataset), or leave {key} out."
            )
            refuse_or_leave_out(key, said, hyperparameters, sources)


def fit_to_task(
    tuning_method: TuningMethod, task: Task, hyperparameters: Hyperparameters, sources: dict[str, str]
) -> None:
    """Let what this version does for causal language models alone be asked for only with them, and no figure that a task lacks.

    Raises:
        InvalidRequestError: ``qlora`` or ``packing`` for another task, or ``promote_if`` with a figure that is never measured.
    """
    if hyperparameters.promote_if is not None:
        metric = Condition.parse(hyperparameters.promote_if).metric
        if metric in NOT_MEASURED.get(task, ()):
            measured = [name for name in METRICS if name not in NOT_MEASURED[task]]
            said = f"promote_if names {metric!r}, which is not measured for the task {task!r}; there are: {', '.join(measured)}."
            refuse_or_leave_out("promote_if", said, hyperparameters, sources)
    if task == "causal_lm":
        return
    if tuning_method == "qlora":
        raise InvalidRequestError(
            f"tuning_method is 'qlora', which needs task 'causal_lm'; the task is {task!r}. Use tuning_method 'lora'.",
            param="tuning_method",
        )
    if hyperparameters.packing:
        said = f"packing puts examples of causal language models into one row; the task is {task!r}. Leave packing out."
        refuse_or_leave_out("packing", said, hyperparameters, sources)
