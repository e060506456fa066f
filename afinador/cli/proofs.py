"""Proofs on a job of one's own: that its training resumes exactly, and that it repeats."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.cli import render
from afinador.cli.command import Command, Parser, UsageError
from afinador.cli.service import connect, positive
from afinador.client import calls

if TYPE_CHECKING:
    from afinador.client.calls import Call
    from afinador.client.connection import Connection
    from afinador.training.child import TrainingProcess

LOOK_SECONDS = 1.0
_JOB_FILES = (".yaml", ".yml", ".json")


def verify_resume(arguments: argparse.Namespace) -> int:
    """Prove that training goes on exactly, here or at the service."""
    path = Path(arguments.job).expanduser()
    if not path.exists() and path.suffix.lower() not in _JOB_FILES:
        return _ask_service(arguments, calls.verify_resume(arguments.job, arguments.steps))
    from afinador.schemas.certificates import DEFAULT_STEPS
    from afinador.training.job_file import spec_from_file
    from afinador.training.verification import verify_resume as prove

    spec = spec_from_file(path)
    with _shown_process() as process:
        certificate = prove(spec, _folder(arguments, path.stem), arguments.steps or DEFAULT_STEPS, process=process)
    return _tell(certificate, arguments)


def reproduce(arguments: argparse.Namespace) -> int:
    """Run a finished run again and compare its weights, here or at the service."""
    path = Path(arguments.job).expanduser()
    if not path.exists():
        return _ask_service(arguments, calls.reproduce_job(arguments.job))
    from afinador.training.verification import local_run
    from afinador.training.verification import reproduce as prove

    spec, expected, result = local_run(path.absolute())
    with _shown_process() as process:
        certificate = prove(spec, _folder(arguments, path.name), expected, original=result, process=process)
    return _tell(certificate, arguments)


def _ask_service(arguments: argparse.Namespace, call: Call) -> int:
    """Have a certificate made by the service, and wait for it."""
    if arguments.output:
        raise UsageError(f"There is no {arguments.job!r} here; --output is for proofs that are made here.")
    with connect() as connection:
        asked = connection.json(call)
        render.remark(f"{asked['id']} of the job {arguments.job} is queued.")
        shown = asked["status"]
        try:
            while asked["status"] in ("queued", "running"):
                time.sleep(LOOK_SECONDS)
                asked = _look(connection, asked)
                if asked["status"] != shown:
                    shown = asked["status"]
                    render.remark(f"It is {shown}.")
        except KeyboardInterrupt:
            render.remark(f"It goes on; its end is an event of the job: afinador list event {arguments.job}")
            raise
    if asked["certificate"] is None:
        render.remark((asked["error"] or {}).get("message") or f"The proof was {asked['status']}.")
        return 1
    return _tell(asked["certificate"], arguments)


def _look(connection: Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """Return a certificate as it is now; many more may have been asked for since."""
    from afinador.client import paging  # httpx

    listing = calls.list_certificates(asked["job_id"])
    return next(each for each in paging.iterate(connection, listing) if each["id"] == asked["id"])


def _folder(arguments: argparse.Namespace, name: str) -> Path:
    if arguments.output:
        folder = Path(arguments.output).expanduser()
    else:
        folder = Path("runs") / f"proof-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    render.remark(f"Training in {folder.absolute()}")
    return folder.absolute()


@contextmanager
def _shown_process() -> Iterator[TrainingProcess]:
    """Show training processes on the screen; told to stop, they stop with us."""
    from afinador.cli.watching import screen_for
    from afinador.training.child import TrainingProcess
    from afinador.training.run_dir import RunDir

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    with screen_for() as screen:

        def watch(run_dir: RunDir) -> None:
            status = run_dir.status() or {"state": "starting"}
            screen.job(
                {"status": "running", "progress": {**status, "state": f"{run_dir.path.name}: {status['state']}"}}
            )

        yield TrainingProcess(watch=watch)


def _tell(certificate: dict[str, Any], arguments: argparse.Namespace) -> int:
    if arguments.json:
        render.as_json(certificate)
    else:
        render.result(render.fields(_facts(certificate)))
    return 0 if certificate["equal"] else 1


def _facts(certificate: dict[str, Any]) -> list[tuple[str, Any]]:
    difference = certificate.get("first_difference")
    is_resume = certificate["type"] == "resume"
    hashes = certificate["hashes"] if is_resume else certificate["found"]
    at = (
        difference
        and f"step {difference['step']}, {difference['value']}: {' and '.join(map(str, difference['values']))}"
    )
    return [
        ("equal", "yes, to the bit" if certificate["equal"] else "no"),
        ("steps", certificate.get("steps")),
        ("resumed after", certificate.get("resumed_after")),
        ("first difference", at),
        ("environment changed", certificate["environment_differences"]),
        ("base model", f"{certificate['base_model']['name']} {certificate['base_model']['sha256']}"),
        ("data", f"{certificate['training_file']['name']} {certificate['training_file']['sha256']}"),
        ("seed", certificate["seed"]),
        ("compared", "\n".join(_line(name, of) for name, of in hashes.items())),
    ]


def _line(name: str, hashes: dict[str, str | None] | str) -> str:
    if isinstance(hashes, str):
        return f"{hashes}  {name}"
    both = list(dict.fromkeys(str(each) for each in hashes.values()))
    return f"{' | '.join(both)}  {name}"


def _add_output(parser: Parser) -> None:
    parser.add_argument("--output", metavar="DIR", help="folder of a proof made here (default: a new one below runs/)")


def _add_verify(parser: Parser) -> None:
    parser.add_argument("job", metavar="JOB", help="id or name; or a job file, to be proved here without a service")
    parser.add_argument("--steps", type=positive, metavar="N", help="optimizer steps (default: 20)")
    _add_output(parser)


def _add_reproduce(parser: Parser) -> None:
    parser.add_argument(
        "job", metavar="JOB", help="id or name; or the run directory of a finished `afinador train`, without a service"
    )
    _add_output(parser)


COMMANDS = (
    Command(
        ("verify", "resume"), "Prove that a job's training goes on from a checkpoint to the bit", verify_resume,
        _add_verify,
        examples=("afinador verify resume bot-1a2b3c", "afinador verify resume job.yaml --steps 40"),
        details="Trains N steps straight, then N/2 and N/2 in another process, and compares weights, optimizer, random\n"
        "generators and losses. Exit code 0 when they are equal, else 1.",
    ),
    Command(
        ("reproduce",), "Run a finished job again and compare its weights", reproduce, _add_reproduce,
        examples=("afinador reproduce bot-1a2b3c", "afinador reproduce runs/first"),
        details="Exit code 0 when the hashes are equal, else 1.",
    ),
)  # fmt: skip
