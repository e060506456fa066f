"""The whole craft in one call: load, train, save, evaluate, describe."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from afinador.config.spec import FineTuningSpec
from afinador.errors import AfinadorError, InvalidRequestError
from afinador.training.checkpoints import complete_checkpoints
from afinador.training.job_file import named_run_dir, spec_from_fields, spec_from_file
from afinador.training.progress import Progress
from afinador.training.resources import ResourceSampler
from afinador.training.run_dir import RunDir
from afinador.training.stopping import Stopped, StopSign

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 60.0
"""How long to wait for an older process of the same run to notice that it was superseded."""


@dataclass(frozen=True)
class Result:
    """What a run has made.

    Attributes:
        model_path: A PEFT directory for LoRA, a transformers directory for full fine-tuning.
        metrics: ``{"base": {…}, "tuned": {…}}`` as in ``evaluation.json``; empty without a validation file.
        checkpoints: Folders of the checkpoints that were kept, oldest first.
    """

    model_path: Path
    metrics: dict[str, Any]
    checkpoints: list[Path]


@contextmanager
def _no_garbage_collected() -> Iterator[None]:
    """Hold the collector while thousands of modules come in, of which it would find nothing: a sixth of their time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class FineTuner:
    """Fine-tunes one model in this process.

    ::

        result = FineTuner.from_file("job.yaml").run()

    Args:
        spec: The whole specification; ``base_model.path`` and the paths of the data files are local.
        run_dir: Folder of the run; see ``docs/training.md`` for its files.
        attempt: Number of the attempt, if a service counts them.
        stop: When to stop early; by default what ``control.json`` says.
        progress: Called with the status, about twice a second.
    """

    def __init__(
        self,
        spec: FineTuningSpec,
        run_dir: RunDir | Path | str,
        *,
        attempt: int = 1,
        stop: StopSign | None = None,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.spec = spec
        self.run_dir = run_dir if isinstance(run_dir, RunDir) else RunDir(Path(run_dir))
        self._stop = stop or StopSign(self.run_dir, attempt=attempt)
        self._progress = Progress(self.run_dir, attempt=attempt, callback=progress)

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        run_dir: Path | str | None = None,
        *,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> FineTuner:
        """Prepare a run from a YAML or JSON file with the fields of a job; models and data are paths relative to it.

        Args:
            path: The file.
            run_dir: By default what ``output_dir`` in the file says, else ``runs/{name}`` beside the file.
            progress: As for the class.

        Raises:
            AfinadorError: See ``afinador.training.job_file.spec_from_file``.
        """
        path = Path(path).expanduser()
        spec = spec_from_file(path)
        folder = run_dir or named_run_dir(spec, path) or path.parent / "runs" / spec.job_name
        return cls(spec, folder, progress=progress)

    @classmethod
    def from_fields(
        cls,
        fields: dict[str, Any],
        run_dir: Path | str,
        *,
        folder: Path | str = ".",
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> FineTuner:
        """Prepare a run from the fields of a job: ``base_model``, ``dataset``, ``hyperparameters`` and so on.

        Args:
            fields: What a job file would hold.
            run_dir: Folder of the run.
            folder: What models and data are relative to.
            progress: As for the class.

        Raises:
            AfinadorError: See ``afinador.training.job_file.spec_from_fields``.
        """
        run_dir = Path(run_dir).expanduser()
        return cls(spec_from_fields(fields, Path(folder).expanduser(), run_dir.name), run_dir, progress=progress)

    def run(self) -> Result:
        """Do whatever of the run is not done yet; a finished run is left as it is.

        Raises:
            InvalidRequestError: The folder holds another run.
            Stopped: Somebody asked to stop; run again to go on.
            AfinadorError: The run failed; ``result.json`` says why.
        """
        with self.run_dir.locked(LOCK_TIMEOUT_SECONDS):
            self._claim_folder()
            if (self.run_dir.result() or {}).get("status") != "succeeded":
                self.run_dir.remove_document("result.json")
                with self._endings_told(), ResourceSampler(self.run_dir):
                    self._progress.enter("loading")
                    # torch and transformers take seconds to import; whoever watches has seen a status by now.
                    with _no_garbage_collected():
                        from afinador.training.stages import run_stages

                    run_stages(self.spec, self.run_dir, self._progress, self._stop)
                self._progress.enter("done")
        result = self.run_dir.result() or {}
        return Result(self.run_dir.final, result.get("metrics") or {}, complete_checkpoints(self.run_dir))

    def _claim_folder(self) -> None:
        if not (self.run_dir.path / "spec.json").exists():
            self.run_dir.write_spec(self.spec)
        elif self.run_dir.spec() != self.spec:
            raise InvalidRequestError(
                f"{self.run_dir.path} holds another run, of the job {self.run_dir.spec().job_name!r}. "
                "Name another folder, or remove that one."
            )

    @contextmanager
    def _endings_told(self) -> Iterator[None]:
        """Write down how the run ended when it did not end well."""
        started_at = time.monotonic()
        try:
            yield
        except Stopped as reason:
            self._progress.enter("stopped", reason=str(reason))
            raise
        except Exception as error:
            from afinador.training.failures import told

            failure = told(error, self.spec, self.run_dir.path)
            # The place in the code helps with what nobody foresaw; of all else the sentence says what is wrong.
            logger.error(
                "The run failed: %s", failure.message, exc_info=None if isinstance(error, AfinadorError) else error
            )
            self.run_dir.log_event("failure", "error", failure.message, code=failure.code)
            self._progress.enter("failed")
            self.run_dir.write_result(
                status="failed",
                error={"code": failure.code, "message": failure.message, "param": failure.param},
                duration_seconds=round(time.monotonic() - started_at, 3),
            )
            if isinstance(error, AfinadorError):
                raise
            raise failure from error
