"""What is said of a fault names its place, the field that is to blame, and what to do: of all that the code can say.

The messages are those that are written in the code, so that none is forgotten.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from afinador.data.records import WHOLE_FILE_CODES

VERBS = (
    "add", "ask", "check", "choose", "close", "compress", "convert", "correct", "cut", "declare", "describe", "double",
    "export", "fetch", "filter", "flatten", "give", "has to install", "join", "keep", "leave", "let", "make", "name",
    "part", "pip install", "put", "raise", "remove", "rename", "replace", "save", "send", "set", "shorten", "split",
    "take", "train with", "upload", "use", "write",
)  # fmt: skip
REMEDY = re.compile(
    r"(?:^|[.;:,?)}(] |\(|\bor |\boperator )(?:" + "|".join(f"(?i:{verb[0]}){verb[1:]}" for verb in VERBS) + r")\b"
)
"""What a clause begins with that tells somebody to do something."""
NOTES = {"small_data_set", "large_file", "searched_in_part", "compared_in_part", "overlap_in_part", "tokens_in_part",
         "STORED_ONLY", "other_splits", "files_not_read"}  # fmt: skip
"""Nothing needs to be done about these."""
OF_MANY_RECORDS = {
    "answered_otherwise", "different_answers", "few_records", "ignored_fields", "imbalanced_labels", "label_types",
    "long_documents", "no_records", "rare_label", "similar_labels", "unknown_label", "unknown_shape", "unknown_tokens",
    "missing_value", "unusable_mapping", "NO_PROMPT", "ONE_LABEL", "bare_quotes", "escaped_quotes",
}  # fmt: skip
"""These have no place of their own; labels that stand for a missing value have none where they are told together."""
OF_NO_FIELD = {
    # of a line or a file
    "column_count", "csv_syntax", "encoding", "file_encoding", "json_structure", "json_syntax", "line_too_long",
    "not_an_object", "nul_character", "records_elsewhere", "unknown_columns", "unreadable_file", "loader_failed",
    "unknown_shape", "unusable_mapping", "no_records", "few_records", "long_documents",
    # of a record, or of several of its fields
    "duplicate", "near_duplicate", "overlap", "near_overlap", "different_answers", "answered_otherwise", "long_record",
    "two_shapes", "ignored_fields", "UNKNOWN_FIELDS", "unknown_tokens", "bare_quotes", "escaped_quotes",
}  # fmt: skip
OF_DEVELOPERS = {("tokens/batching.py", "A batch needs"), ("tokens/classified.py", "Record at line")}
"""What no data set can bring about."""


class Said(NamedTuple):
    """A place in the code where a fault is told; what is filled in is ``{}``."""

    file: str
    kind: str
    code: str
    message: str
    has_line: bool
    has_field: bool


def said(root: Path) -> Iterator[Said]:
    for path in sorted((root / "afinador" / "data").rglob("*.py")):
        module = ast.parse(path.read_text())
        constants = assigned(module.body)
        for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)):
            known = constants | assigned(list(ast.walk(function)))
            for node in ast.walk(function):
                called = node.func if isinstance(node, ast.Call) else None
                if isinstance(called, ast.Name | ast.Attribute):
                    kind = called.id if isinstance(called, ast.Name) else f".{called.attr}"
                    yield from told_by(node, kind, known, path.relative_to(root / "afinador" / "data"))


def told_by(call: ast.Call, kind: str, known: dict[str, list[ast.expr]], path: Path) -> Iterator[Said]:
    arguments, named = call.args, {keyword.arg for keyword in call.keywords}
    if kind == "Problem":
        has_line, has_field = len(arguments) > 2 or "line" in named, len(arguments) > 3 or "field" in named
    elif kind == ".problem":  # of a record
        has_line, has_field = True, len(arguments) > 2
    elif kind in ("DataError", "BrokenJSONError"):
        yield Said(str(path), kind, "", written(arguments[0], known), has_line=False, has_field=False)
        return
    else:
        return
    code = arguments[0].value if isinstance(arguments[0], ast.Constant) else ast.unparse(arguments[0])
    yield Said(str(path), kind, str(code), written(arguments[1], known), has_line, has_field)


def assigned(nodes: list[ast.stmt] | list[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return what is assigned or added to each name."""
    found: dict[str, list[ast.expr]] = defaultdict(list)
    for node in nodes:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and isinstance(target, ast.Name) and node.value:
            found[target.id].append(node.value)
    return found


def written(node: ast.expr, known: dict[str, list[ast.expr]], depth: int = 0) -> str:
    """Return the words of a message."""
    match node:
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return "".join(written(part, known, depth) for part in node.values)
        case ast.FormattedValue():
            return written(node.value, known, depth) if isinstance(node.value, ast.Name | ast.IfExp) else "{}"
        case ast.BinOp():
            return written(node.left, known, depth) + written(node.right, known, depth)
        case ast.IfExp():
            return written(node.body, known, depth) + written(node.orelse, known, depth)
        case ast.Name() if depth < 4 and node.id in known:
            return " ".join(written(value, known, depth + 1) for value in known[node.id])
    return "{}"


def has_words(message: str) -> bool:
    """Tell whether it says something itself: others pass on what was said elsewhere."""
    return re.search(r"[a-z]{2}", message.replace("{}", "")) is not None


@pytest.fixture(scope="module")
def told(root: Path) -> list[Said]:
    return list(said(root))


def test_the_messages_of_the_code_are_found(told: list[Said]) -> None:
    by_kind = {kind: [each for each in told if each.kind == kind] for kind in {each.kind for each in told}}
    assert {kind: len(found) > 20 for kind, found in by_kind.items() if kind != "BrokenJSONError"} == {
        "Problem": True, ".problem": True, "DataError": True,
    }  # fmt: skip
    assert len({each.code for each in told}) > 60


def test_every_message_says_what_to_do(told: list[Said]) -> None:
    without = [
        each
        for each in told
        if has_words(each.message)
        and each.code not in NOTES
        and not any(each.file == file and each.message.startswith(start) for file, start in OF_DEVELOPERS)
        and not each.message.endswith(("{}", "{}."))  # what is said elsewhere, with what to do
        and not REMEDY.search(each.message)
    ]
    assert not without, "\n".join(map(str, without))


def test_every_fault_of_a_record_has_its_place(told: list[Said]) -> None:
    without = {each.code for each in told if each.kind == "Problem" and not each.has_line and has_words(each.message)}
    assert without == (OF_MANY_RECORDS | NOTES | WHOLE_FILE_CODES) & without
    assert {each.code for each in told if each.has_line} & OF_MANY_RECORDS == {"missing_value"}


def test_every_fault_of_a_field_names_it(told: list[Said]) -> None:
    faults = [each for each in told if each.kind in ("Problem", ".problem") and has_words(each.message)]
    assert {each.code for each in faults if not each.has_field} == (OF_NO_FIELD | NOTES) & {
        each.code for each in faults
    }
    assert not {each.code for each in faults if each.has_field} & OF_NO_FIELD
