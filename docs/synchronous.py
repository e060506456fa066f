"""Makes the synchronous client of the asynchronous one: the same words without ``async`` and ``await``.

Kept apart from both clients, for only whoever changes them needs it (and ruff with it).
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path("afinador/client/asynchronous")
WRITTEN_BY_HAND = {"__init__.py", "waiting.py"}

_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\basync (?=with|for|def)", ""),
        (r"\bawait ", ""),
        (r"\bAsync(?=[A-Z])", ""),
        (r"\basynccontextmanager\b", "contextmanager"),
        (r"\b__a(?=(enter|exit|iter)__)", "__"),
        (r"\ba(?=(close|read|iter_bytes|iter_lines)\b)", ""),
        (r"\bafinador\.client\.asynchronous import (?=\w+(, \w+)*\n)", "afinador.client import "),
        (r"\bafinador\.client\.asynchronous\b", "afinador.client"),
    )
]


def synchronous_modules(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield path and text of each module that is made."""
    for source in sorted((root / SOURCE).glob("*.py")):
        if source.name not in WRITTEN_BY_HAND:
            target = SOURCE.parent / source.name
            note = f"# Made by docs/generate.py from {SOURCE / source.name}; change that, then run `make docs`.\n"
            yield root / target, _formatted(note + _without_async(source.read_text(encoding="utf-8")), root, target)


def _without_async(text: str) -> str:
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _formatted(text: str, root: Path, target: Path) -> str:
    """Order the imports and break the lines as everywhere else; what became shorter may fit on one."""
    ruff = [sys.executable, "-m", "ruff"]
    named = ["--no-cache", "--stdin-filename", str(target), "-"]
    for words in (["check", "--fix", "--unsafe-fixes", "--quiet", "--select=I,UP028"], ["format", "--quiet"]):
        answer = subprocess.run([*ruff, *words, *named], cwd=root, input=text, capture_output=True, text=True)
        if not answer.stdout:
            raise SystemExit(f"ruff cannot read what was made of {target}: {answer.stderr}")
        text = answer.stdout
    return text
