"""All commands, and the overview of them."""

from __future__ import annotations

from afinador.cli import (
    base_models,
    checkpoints,
    craft,
    datasets,
    files,
    hub,
    job_specs,
    jobs,
    organizations,
    preparation,
    proofs,
    stack,
)
from afinador.cli.command import Command

COMMANDS: tuple[Command, ...] = (
    *jobs.COMMANDS,
    *checkpoints.COMMANDS,
    *job_specs.COMMANDS,
    *hub.COMMANDS,
    *base_models.COMMANDS,
    *files.COMMANDS,
    *datasets.COMMANDS,
    *craft.COMMANDS,
    *preparation.COMMANDS,
    *proofs.COMMANDS,
    *organizations.COMMANDS,
    *stack.COMMANDS,
)

INTRODUCTION = """\
usage: afinador VERB NOUN [options]

Fine-tunes language models on a service of your own. Nouns are read in singular and plural and in several
spellings (fine-tune-job, fine-tuning-job, job), options with one dash or two (-basemodel, --base-model).
"""

EPILOGUE = """\
environment:
  AFINADOR_BASE_URL      where the service is (the one started here, or http://127.0.0.1:8000)
  AFINADOR_API_KEY       your organisation's key; `afinador up` prints it at the first start
  AFINADOR_OPERATOR_KEY  for organisations, their keys and public base models

exit codes: 0 done, 1 failed, 2 wrong use, 3 not found, 4 not allowed

examples:
  afinador up
  afinador create base-model tiny --source examples/base_model/model
  afinador create fine-tune-job -basemodel tiny -dataset train.jsonl -output-model bot -epochs 3 --watch
  afinador get hub-model bot --download bot/
  afinador COMMAND --help
"""


def overview(verb: str | None = None) -> str:
    """Return the list of all commands, or of one verb's."""
    shown = [command for command in COMMANDS if verb in (None, command.words[0])]
    width = max(len(" ".join(command.words)) for command in shown)
    lines = [f"  {' '.join(command.words):<{width}}  {command.summary}" for command in shown]
    listing = "\n".join(["commands:", *lines])
    if verb is not None:
        return f"{listing}\n\nafinador {verb} NOUN --help says more."
    return f"{INTRODUCTION}\n{listing}\n\n{EPILOGUE}".rstrip()
