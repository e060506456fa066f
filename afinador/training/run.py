"""``python -m afinador.training.run RUN_DIR``: the process that trains.

It needs no server: everything it is told and tells lies in the run directory. Exit code 0 done, 75 stopped (asked to,
superseded, left alone, ``--stop-after`` or SIGTERM) and may be started again, 74 the disk is so full that no reason could
be written down, 1 failed with the reason in ``result.json``.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from types import FrameType

from afinador.errors import AfinadorError
from afinador.model_index import keep_index_of_models
from afinador.storage import is_disk_full
from afinador.training.log_lines import line_format, open_attempt
from afinador.training.run_dir import RunDir
from afinador.training.stopping import EXIT_DISK_FULL, EXIT_STOPPED, FlowProcess, Stopped, StopSign

EXIT_DONE, EXIT_FAILED = 0, 1

_NOT_USED = ("datasets", "sklearn")
_OF_QUANTIZATION = ("bitsandbytes", "scipy")
"""Libraries that others import where they find them, which is a fifth of what this process takes to start."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line names and return the exit code; the last line on standard error says how it ended."""
    options = _parser().parse_args(arguments)
    run_dir = RunDir(options.run_dir.expanduser().absolute())
    run_dir.path.mkdir(parents=True, exist_ok=True)
    console = os.fdopen(os.dup(sys.stderr.fileno()), "w")
    _send_output_to(run_dir.log, options.attempt or 1)
    try:
        if options.job is not None:
            from afinador.training.job_file import spec_from_file

            run_dir.write_spec(spec_from_file(options.job))
        _fine_tune(run_dir, options)
    except Stopped as reason:
        console.write(f"Stopped: {reason}.\n")
        return EXIT_STOPPED
    except AfinadorError as error:
        if run_dir.result() is None and error.code != "run_directory_in_use":
            told = {"code": error.code, "message": error.message, "param": error.param}
            run_dir.write_result(status="failed", error=told)
        console.write(f"{error.message}\n")
        return EXIT_FAILED
    except OSError as error:
        if not is_disk_full(error):
            raise
        console.write(f"The disk of {run_dir.path} is full; free some space and start again.\n")
        return EXIT_DISK_FULL
    finally:
        console.flush()
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m afinador.training.run", description=__doc__)
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder of the run, with its spec.json")
    parser.add_argument("--job", type=Path, metavar="FILE", help="make spec.json from this job file (YAML or JSON)")
    parser.add_argument("--attempt", type=int, metavar="N", help="number of this attempt; a newer one supersedes it")
    parser.add_argument("--flow-process", metavar="PID:CREATE_TIME", help="stop when this process is gone")
    parser.add_argument(
        "--stop-after",
        type=int,
        metavar="N",
        help="stop after optimizer step N, or after the last one, with a checkpoint",
    )
    return parser


def _send_output_to(log: Path, attempt: int) -> None:
    """Send everything that this process and its libraries print to ``log.txt``."""
    rank, ranks = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if rank == 0:
        open_attempt(log, attempt, rank)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())
    os.close(descriptor)
    logging.basicConfig(level=logging.INFO, format=line_format(rank, ranks), stream=sys.stderr)
    logging.captureWarnings(True)
    # PEFT asks transformers for a property by its old name; nobody who reads the log can do anything about it.
    warnings.filterwarnings("ignore", r"`is_gradient_checkpointing` is deprecated", FutureWarning)


def _fine_tune(run_dir: RunDir, options: argparse.Namespace) -> None:
    spec = run_dir.spec()
    attempt = options.attempt or 1
    if (run_dir.result() or {}).get("status") == "succeeded":
        return
    so_far = (run_dir.status() or {}).get("phase_seconds") or {}
    run_dir.write_status(attempt=attempt, state="starting", phase_seconds=so_far)
    stop = StopSign(
        run_dir,
        attempt=options.attempt,
        flow_process=FlowProcess.parse(options.flow_process) if options.flow_process else None,
        orphan_timeout_seconds=spec.hyperparameters.orphan_timeout_seconds,
        stop_after=options.stop_after,
    )

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stop.ask(f"signal {signal.Signals(number).name}")

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    settings = spec.hyperparameters
    _prepare_libraries(with_bitsandbytes=bool(settings.quantization_bits) or settings.optimizer == "adamw_8bit")
    from afinador.training.fine_tuner import FineTuner

    FineTuner(spec, run_dir, attempt=attempt, stop=stop).run()


def _prepare_libraries(*, with_bitsandbytes: bool) -> None:
    """Settle what libraries read once, when they are imported."""
    os.environ.update(
        HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1"
    )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that wait by spinning lose their turn to every other process: 7 times slower beside a busy service.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in _NOT_USED if with_bitsandbytes else (*_NOT_USED, *_OF_QUANTIZATION):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    keep_index_of_models()


if __name__ == "__main__":
    exit_code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # everything is on the disk; taking torch down in good order costs another second
