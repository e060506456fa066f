"""What comes after a step, whichever engine made it: log it, measure, save a checkpoint, see whether to go on."""

from __future__ import annotations

from afinador.config.spec import FineTuningSpec
from afinador.data.batching import pad_id_of
from afinador.data.tokenisation import TokenisedExample
from afinador.evals.measuring import measure
from afinador.models.classification import ClassScores
from afinador.models.families import TokenScores
from afinador.training.checkpoints import checkpoint_name, save_checkpoint
from afinador.training.progress import Progress, Step
from afinador.training.run_dir import RunDir
from afinador.training.setup import MicroBatches, Subject
from afinador.training.stopping import StopSign


class Milestones:
    """Measures on the held-out examples every ``eval_steps``, saves every ``save_steps``, does both after the last step.

    With ``early_stopping_patience`` each evaluation that is the best so far is followed by a checkpoint, which is kept
    beyond ``save_total_limit`` for as long as it is the best.

    Args:
        spec: Hyperparameters.
        subject: The model that is trained.
        scores: The same, as it is scored.
        held_out: What the loss is measured on; may be empty.
        passes: How much goes through the model at once.
        steps: Optimizer steps of the whole training.
        run_dir: Where checkpoints go.
        progress: Where measurements go.
        stop: Looked at between the batches of a measurement.
    """

    def __init__(
        self,
        spec: FineTuningSpec,
        subject: Subject,
        scores: TokenScores | ClassScores,
        held_out: list[TokenisedExample],
        passes: MicroBatches,
        *,
        steps: int,
        run_dir: RunDir,
        progress: Progress,
        stop: StopSign,
    ) -> None:
        self._settings = spec.hyperparameters
        self._subject, self._scores, self._held_out, self._passes = subject, scores, held_out, passes
        self._steps, self._run_dir, self._progress, self._stop = steps, run_dir, progress, stop

    def after(self, step: Step) -> bool:
        """Do what is due after a step and return whether training ends with it, before its time or at it.

        Raises:
            Stopped: See ``StopSign``.
            TrainingError: Too many steps had to be skipped.
            InsufficientStorageError: A checkpoint does not fit on the disk.
        """
        settings, progress, early_stopping = self._settings, self._progress, self._progress.early_stopping
        progress.after_step(step)
        is_last = step.number == self._steps
        is_best = False
        if self._held_out and (is_last or step.number % (settings.eval_steps or settings.save_steps) == 0):
            is_best = self._measure(step.number)
        is_over = is_last or early_stopping.is_over
        is_worth_keeping = is_best and early_stopping.patience is not None
        if is_over or is_worth_keeping or step.number % settings.save_steps == 0:
            best = early_stopping.best_step if early_stopping.patience is not None else None
            save_checkpoint(
                self._run_dir,
                progress.state_at(step.number),
                self._subject.write_weights,
                keep=settings.save_total_limit,
                best=None if best is None else checkpoint_name(best),
            )
        if is_over and not is_last:
            self._run_dir.log_event(
                "message",
                "info",
                f"Training ends after step {step.number} of {self._steps}: {early_stopping.patience} evaluations in a "
                f"row have not bettered the validation loss of step {early_stopping.best_step}.",
                step=step.number,
                **early_stopping.state(),
            )
        return is_over

    def _measure(self, step: int) -> bool:
        measured = measure(
            self._scores,
            self._held_out,
            pad_id=pad_id_of(self._subject.tokenizer),
            tokens_per_pass=self._passes.tokens,
            between_batches=self._stop.raise_if_asked,
        )
        return self._progress.after_validation(step, measured)
