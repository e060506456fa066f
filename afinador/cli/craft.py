"""Training from a file, which needs no service."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from afinador.cli.command import Command, Parser
from afinador.cli.datasets import existing


def train(arguments: argparse.Namespace) -> int:
    """Train from a file, without a service, and show it as it goes."""
    from afinador.cli.training import train_and_show

    job = existing(arguments.job)
    named = Path(arguments.output).expanduser() if arguments.output else None
    unnamed = Path("runs") / f"{job.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    return train_and_show(job, named, unnamed, shown_as_json=arguments.json)


def _add_train(parser: Parser) -> None:
    parser.add_argument(
        "job", metavar="JOB.yaml", help="the fields of a job; models and data are paths beside the file"
    )
    parser.add_argument(
        "--output", metavar="DIR", help="run directory (default: the file's output_dir, else a new one below runs/)"
    )


COMMANDS = (
    Command(
        ("train",), "Train from a file, without a service", train, _add_train,
        examples=("afinador train job.yaml", "afinador train job.yaml --output runs/first --json"),
        details="The file has the keys of a job: base_model, dataset, validation_dataset, output_model, tuning_method, "
        "hyperparameters.\nThe result lies in the folder final/ of the run directory.",
    ),
)  # fmt: skip
