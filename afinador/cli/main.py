"""``afinador``: finds the command that was typed, runs it, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from afinador import __version__, errors
from afinador.cli import catalogue, grammar, render
from afinador.cli.command import UsageError
from afinador.errors import AfinadorError

FAILED, WRONG_USE, NOT_FOUND, NOT_ALLOWED, INTERRUPTED = 1, 2, 3, 4, 130

EXIT_CODES: dict[type[AfinadorError], int] = {
    errors.NotFoundError: NOT_FOUND,
    errors.AuthenticationError: NOT_ALLOWED,
    errors.PermissionDeniedError: NOT_ALLOWED,
    errors.IllegalTransitionError: FAILED,
    errors.NameTakenError: FAILED,
    errors.InUseError: FAILED,
    errors.InvalidRequestError: WRONG_USE,
    AfinadorError: FAILED,
}
"""Exit code of each class of errors; the nearest base class in this table counts."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: What was typed behind ``afinador``; the process's own by default.
    """
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return code
    except AfinadorError as error:
        render.remark(error.message)
        return exit_code_of(error)
    except KeyboardInterrupt:
        render.remark("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (| head); the interpreter must not complain at its end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as request:  # argparse has printed its help
        return int(request.code or 0)
    except Exception as error:
        if os.environ.get("AFINADOR_DEBUG"):
            raise
        render.remark(
            f"This is a fault of the command itself, {type(error).__name__}: {error}. "
            "With AFINADOR_DEBUG=1 it says where; please report it."
        )
        return FAILED


def exit_code_of(error: AfinadorError) -> int:
    """Return the exit code that an error means."""
    return next(EXIT_CODES[base] for base in type(error).__mro__ if base in EXIT_CODES)


def _run(words: list[str]) -> int:
    if not words:
        render.result(catalogue.overview())
        return WRONG_USE
    if grammar.asks_for_help(words[0]):
        words = [*words[1:], "--help"]
        if len(words) == 1:
            render.result(catalogue.overview())
            return 0
    if words[0] in ("-V", "-version", "--version"):
        render.result(f"afinador {__version__}")
        return 0
    if words[0].startswith("-"):
        raise UsageError(f"A verb comes first, not {words[0]!r}. See afinador --help.")
    verbs = {command.words[0] for command in catalogue.COMMANDS if len(command.words) > 1}
    if len(words) > 1 and words[0].lower() in verbs and grammar.asks_for_help(words[1]):
        render.result(catalogue.overview(words[0].lower()))
        return 0
    command, rest = grammar.find(words, catalogue.COMMANDS)
    return command.start(rest)


if __name__ == "__main__":
    sys.exit(main())
