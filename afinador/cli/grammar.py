"""From typed words to a command: every spelling of a noun, and the nearest known one for those that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from afinador.cli.command import Command, UsageError, squash
from afinador.errors import nearest

SPELLINGS: dict[str, tuple[str, ...]] = {
    "fine-tune-job": ("fine-tuning-job", "job"),
    "job-spec": ("spec",),
    "hub-model": (),
    "hub-adapter": (),
    "base-model": (),
    "file": (),
    "organization": ("organisation",),
    "api-key": ("key",),
    "checkpoint": (),
    "event": (),
    "dataset": ("data-set",),
    "preparation": (),
    "upgrade": (),
    "resume": (),
}
"""Each noun and its other names. All are read in singular and plural, with dashes, underscores or neither."""

_HELP = ("-h", "-help", "--help", "help")


def canonical(noun: str) -> str | None:
    """Return the noun that a word means, or None."""
    wanted = squash(noun)
    for name, others in SPELLINGS.items():
        for spelling in (name, *others):
            if wanted in (squash(spelling), f"{squash(spelling)}s"):
                return name
    return None


def asks_for_help(word: str) -> bool:
    """Tell whether a word in a verb's or noun's place asks for help."""
    return word.lower() in _HELP


def find(words: Sequence[str], commands: Iterable[Command]) -> tuple[Command, list[str]]:
    """Return the command that was typed, and the words behind it.

    Args:
        words: All that was typed behind ``afinador``; at least one word.
        commands: All commands.

    Raises:
        UsageError: No such verb, no noun, or none that the verb goes with; names the nearest.
    """
    verb = words[0].lower()
    of_verb = {
        canonical(command.words[-1]) if command.words[1:] else None: command
        for command in commands
        if command.words[0] == verb
    }
    if not of_verb:
        known = {command.words[0] for command in commands}
        raise UsageError(f"There is no command {words[0]!r}.{nearest(verb, known)} See afinador --help.")
    if None in of_verb:
        return of_verb[None], _without_noun(list(words[1:]))
    nouns = ", ".join(sorted(command.words[1] for command in of_verb.values()))
    if len(words) < 2 or words[1].startswith("-"):
        raise UsageError(f"afinador {verb} needs a noun: {nouns}.")
    noun = canonical(words[1])
    if noun is None:
        all_nouns = [spelling for name, others in SPELLINGS.items() for spelling in (name, *others)]
        near = nearest(words[1], all_nouns)
        raise UsageError(f"afinador {verb}: there is no {words[1]!r}.{near} Nouns here: {nouns}.")
    if noun not in of_verb:
        raise UsageError(f"There is nothing to {verb} in {words[1]!r}; afinador {verb} takes: {nouns}.")
    return of_verb[noun], list(words[2:])


def _without_noun(words: list[str]) -> list[str]:
    """Let ``watch fine-tune-job NAME`` mean ``watch NAME``."""
    if len(words) > 1 and not words[1].startswith("-") and canonical(words[0]) == "fine-tune-job":
        return words[1:]
    return words
