"""What a command is, and how its options are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

from afinador.errors import InvalidRequestError, nearest

_NUMBER = re.compile(r"-\.?\d")


class UsageError(InvalidRequestError):
    """Something typed that no command understands."""

    code = "wrong_use"


def squash(word: str) -> str:
    """Reduce a word to what all of its spellings share: ``Base_Model`` and ``base-model`` are ``basemodel``."""
    return re.sub(r"[-_]", "", word).lower()


class Parser(argparse.ArgumentParser):
    """Reads options with one dash or two, in every spelling; its errors are one sentence each.

    Attributes:
        counterparts: What options of other tools are called here, each in a sentence.
    """

    counterparts: Mapping[str, str] = MappingProxyType({})

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing and leaving the process."""
        raise UsageError(f"{self.prog}: {message}. See {self.prog} --help.")

    def read(self, words: list[str]) -> argparse.Namespace:
        """Parse what follows the command.

        Raises:
            UsageError: An option that does not exist (with the nearest), one that is given twice though it takes one value,
                or a value that is missing or wrong.
        """
        return self.parse_args(self._spelled_out(words))

    def short_usage(self) -> str:
        """Return the command with what it cannot do without; all else is ``[options]``."""
        needed = [
            f"{action.option_strings[0]} {action.metavar}" if action.option_strings else str(action.metavar)
            for action in self._actions
            if action.required
        ]
        return " ".join([self.prog, *needed, "[options]"])

    def _spelled_out(self, words: list[str]) -> list[str]:
        options = {squash(spelling): spelling for spelling in self._option_string_actions}
        found: list[str] = []
        given: dict[str, str] = {}
        for place, word in enumerate(words):
            if word == "--":
                return found + words[place:]
            if _NUMBER.match(word) and found and found[-1] in self._option_string_actions:
                found[-1] += f"={word}"  # argparse takes -2e-3 for an option
                continue
            if not word.startswith("-") or word == "-" or _NUMBER.match(word):
                found.append(word)
                continue
            name, equals, value = word.partition("=")
            if squash(name) not in options:
                raise UsageError(f"{self.prog} has no option {name!r}.{self._meant(name, options.values())}")
            self._require_once(name, options[squash(name)], given)
            found.append(f"{options[squash(name)]}{equals}{value}")
        return found

    def _require_once(self, name: str, spelling: str, given: dict[str, str]) -> None:
        """Refuse a further value for an option that takes one, of which argparse would take the last silently.

        Args:
            name: The option as it was typed.
            spelling: As the parser knows it.
            given: What was typed before, by the destination of its value; filled in.
        """
        action = self._option_string_actions[spelling]
        if not isinstance(action, argparse._StoreAction):
            return
        if action.dest in given:
            before = given[action.dest]
            twice = f"{name} is given twice" if before == name else f"{before} and {name} are the same option"
            raise UsageError(f"{self.prog}: {twice}; give one of them.")
        given[action.dest] = name

    def _meant(self, name: str, options: Iterable[str]) -> str:
        """Say, with a leading space, what an option that this command does not have is called here, or may have meant."""
        said = next((said for known, said in self.counterparts.items() if squash(known) == squash(name)), None)
        known = [spelling for spelling in options if spelling.startswith("--")]
        return nearest("--" + name.lstrip("-"), known) if said is None else f" {said}"


def no_arguments(_: Parser) -> None:
    """Add nothing."""


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        words: Verb and noun as they are shown, for example ``("list", "fine-tune-job")``; or one word.
        summary: One sentence without a full stop.
        run: Does it and returns the exit code; None is 0.
        arguments: Adds positional arguments and options.
        examples: Whole lines that can be typed.
        details: Further text for ``--help``.
        prints: Whether it has a result, so that there is ``--json``.
    """

    words: tuple[str, ...]
    summary: str
    run: Callable[[argparse.Namespace], int | None]
    arguments: Callable[[Parser], object] = no_arguments
    examples: tuple[str, ...] = ()
    details: str = ""
    prints: bool = True

    @property
    def title(self) -> str:
        """The command as it is typed, without options."""
        return " ".join(("afinador", *self.words))

    def parser(self) -> Parser:
        """Build its parser."""
        description = f"{self.summary}.\n\n{self.details}".strip()
        examples = "\n".join(f"  {line}" for line in self.examples)
        parser = Parser(
            prog=self.title,
            description=description,
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=_formatter,
            allow_abbrev=False,
        )
        self.arguments(parser)
        if self.prints:
            parser.add_argument("--json", action="store_true", help="print JSON")
        parser.usage = parser.short_usage()
        return parser

    def start(self, words: list[str]) -> int:
        """Read what follows the command, and run it.

        Raises:
            UsageError: See ``Parser.read``.
            AfinadorError: Whatever the command refuses.
        """
        return self.run(self.parser().read(words)) or 0


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=34, width=110)
