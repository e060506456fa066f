"""What comes after a step, whichever engine made it: log it, measure, save a checkpoint, see whether to go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType

from afinador.config.spec import FineTuningSpec
from afinador.data.tokens.batching import pad_id_of
from afinador.data.tokens.tokenisation import TokenisedExample
from afinador.evals.measuring import measure
from afinador.models.classification import ClassScores
from afinador.models.families import TokenScores
from afinador.training.progress import Progress
from afinador.training.run_dir import RunDir
from afinador.training.saving import Saver
from afinador.training.setup import MicroBatches, Subject
from afinador.training.steps import Step
from afinador.training.stopping import Stopped, StopSign
from afinador.training.training_state import TrainingState, put_random


class Milestones:
    """Measures on the held-out examples every ``eval_steps``, saves every ``save_steps``, does both after the last step.

    A context around all steps: when training is asked to stop, it leaves a checkpoint behind. With
    ``early_stopping_patience`` each evaluation that is the best so far is followed by a checkpoint.

    Args:
        spec: Hyperparameters.
        subject: The model that is trained.
        scores: The same, as it is scored.
        held_out: What the loss is measured on; may be empty.
        passes: How much goes through the model at once.
        saver: Saves checkpoints.
        run_dir: Where events go.
        progress: Where measurements go.
        stop: Looked at before each step and between the batches of a measurement.
    """

    def __init__(
        self,
        spec: FineTuningSpec,
        subject: Subject,
        scores: TokenScores | ClassScores,
        held_out: Sequence[TokenisedExample],
        passes: MicroBatches,
        *,
        saver: Saver,
        run_dir: RunDir,
        progress: Progress,
        stop: StopSign,
    ) -> None:
        self._settings = spec.hyperparameters
        self._subject, self._scores, self._held_out, self._passes = subject, scores, held_out, passes
        self._saver, self._run_dir, self._progress, self._stop = saver, run_dir, progress, stop
        self._is_measured = True

    def __enter__(self) -> Milestones:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Stopped) and self._progress.done_steps:
            self._saver.save(self._progress.done_steps, is_measured=self._is_measured)
        if error is None or isinstance(error, Stopped):
            self._saver.finish()
        else:
            self._saver.wait()

    def resume(self, state: TrainingState | None) -> int:
        """Put the state of a checkpoint back and do what was due after its step.

        Returns:
            After how many steps training goes on: after all of them where it was over.

        Raises:
            TrainingError: The checkpoint does not fit the model.
            DataError: It does not fit the data.
        """
        if state is None:
            return 0
        steps_done = self._saver.resume(state)
        is_over = self._progress.early_stopping.is_over
        if not state.document["is_measured"]:
            is_over = self._measure_and_save(steps_done)
        put_random(state.random, state.document["random"])
        return self._progress.steps if is_over else steps_done

    def steps_after(self, state: TrainingState | None) -> Iterator[tuple[int, list[int]]]:
        """Yield number and batch of each step that is still to be made; errors are those of ``before_step`` too."""
        steps_done = self.resume(state)
        for number, batch in enumerate(self._saver.batches.after(steps_done), start=steps_done + 1):
            self.before_step()
            yield number, batch

    def before_step(self) -> None:
        """Look whether training may go on.

        Raises:
            Stopped: See ``StopSign``.
            InsufficientStorageError: A checkpoint did not fit on the disk.
        """
        self._stop.raise_if_asked(self._progress.done_steps)
        self._saver.raise_if_failed()

    def after(self, step: Step) -> bool:
        """Do what is due after a step and return whether training ends with it, before its time or at it.

        Raises:
            Stopped: See ``StopSign``.
            TrainingError: Too many steps had to be skipped.
            InsufficientStorageError: A checkpoint does not fit on the disk.
        """
        if not step.is_usable:
            self._saver.wait()  # a run that ends here names its last checkpoint
        self._progress.after_step(step)
        return self._measure_and_save(step.number)

    def _measure_and_save(self, step: int) -> bool:
        settings, progress, early_stopping = self._settings, self._progress, self._progress.early_stopping
        is_last = step == progress.steps
        is_best = False
        if self._held_out and (is_last or step % (settings.eval_steps or settings.save_steps) == 0):
            is_best = self._measure(step)
        is_over = is_last or early_stopping.is_over
        is_worth_keeping = is_best and early_stopping.patience is not None
        if is_over or is_worth_keeping or self._is_save_due(step):
            self._saver.save(step)
        if is_over and not is_last:
            self._run_dir.log_event(
                "message",
                "info",
                f"Training ends after step {step} of {progress.steps}: {early_stopping.patience} evaluations in a "
                f"row have not bettered the validation loss of step {early_stopping.best_step}.",
                once="early stop",
                step=step,
                **early_stopping.state(),
            )
        return is_over

    def _is_save_due(self, step: int) -> bool:
        steps_per_epoch = self._progress.steps // self._settings.epochs
        ends_epoch = self._settings.save_each_epoch and step % steps_per_epoch == 0
        return ends_epoch or step % self._settings.save_steps == 0

    def _measure(self, step: int) -> bool:
        self._is_measured = False
        measured = measure(
            self._scores,
            self._held_out,
            pad_id=pad_id_of(self._subject.tokenizer),
            tokens_per_pass=self._passes.tokens,
            between_batches=self._before_pass,
        )
        self._is_measured = True
        return self._progress.after_validation(step, measured)

    def _before_pass(self, done: int, total: int) -> None:
        self._stop.raise_if_asked()
        self._progress.while_measuring("tuned", "examples", done, total)
