"""YAML and JSON files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from afinador.errors import InvalidRequestError, NotFoundError
from afinador.wording import first_line, kind_of, shown, unique_keys

MOST_OPEN_BRACKETS = 100
"""Of a YAML document, one within the other."""
MOST_REPEATED_VALUES = 100_000
"""By the aliases of a YAML document, which say much in a few bytes."""
_CHARACTERS_OF_A_VALUE = 100
"""What a text holds beyond them counts as further values."""


def read_document(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file that must hold an object.

    Raises:
        NotFoundError: There is no such file.
        InvalidRequestError: It cannot be read, is neither, holds something else, gives a key twice, one without a value, or one that is no text.
    """
    document = read_file(path)
    if not isinstance(document, dict):
        raise InvalidRequestError(f"{path} must hold an object (key: value); it holds {kind_of(document)}.")
    return document


def read_file(path: Path) -> Any:
    """Read a YAML or JSON file, whatever it holds.

    Raises:
        NotFoundError: There is no such file.
        InvalidRequestError: It cannot be read, is neither, gives a key twice, one without a value, or one that is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFoundError(f"Cannot read {path}: {error.strerror}. Check the path.") from error
    except OSError as error:
        raise InvalidRequestError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"Cannot read {path}: it is no UTF-8 text.") from error
    try:
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=unique_keys)
        return load_yaml(text, _UniqueKeysLoader)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{path}: {error.message}", param=error.param) from error
    except AliasError as error:
        raise InvalidRequestError(f"Cannot read {path}: {error}") from error
    except yaml.reader.ReaderError as error:  # control characters
        raise InvalidRequestError(f"Cannot read {path}: it is no UTF-8 text.") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise InvalidRequestError(f"{path} is neither good YAML nor JSON: {error}") from error


def read_value(text: str) -> Any:
    """Read one value as YAML does, but for dates, which stay texts.

    Raises:
        InvalidRequestError: It is not YAML, or an object with a key twice or one that is no text.
    """
    try:
        return load_yaml(text, _UniqueKeysLoader)
    except AliasError as error:
        raise InvalidRequestError(f"Cannot read {shown(text)}: {error}") from error
    except yaml.YAMLError as error:
        raise InvalidRequestError(f"{shown(text)} is not good YAML") from error


class AliasError(yaml.YAMLError):
    """Aliases that repeat too much, or one that stands inside of what it repeats."""


class ShallowLoader(yaml.SafeLoader):
    """Reads what is not nested too deeply: for each bracket that is open, every further token is looked at once more."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        """Take up an opening bracket.

        Raises:
            yaml.YAMLError: It is one too many.
        """
        if self.flow_level >= MOST_OPEN_BRACKETS:  # type: ignore[attr-defined]
            raise yaml.YAMLError("it is nested too deeply")
        super().fetch_flow_collection_start(TokenClass)  # type: ignore[misc]

    def get_single_node(self) -> yaml.Node | None:
        """Return the document, from which no value is made yet.

        Raises:
            AliasError: Its aliases repeat too much.
        """
        node: yaml.Node | None = super().get_single_node()  # type: ignore[no-untyped-call]
        if node is not None:
            sizes: dict[yaml.Node, tuple[int, int]] = {}
            written = _written_out(node, sizes)
            if written - sum(own for _, own in sizes.values()) > MOST_REPEATED_VALUES:
                raise AliasError(
                    f"its aliases (such as *name) repeat more than {MOST_REPEATED_VALUES:,} values, which is the most that is "
                    "read; write out what is meant."
                )
        return node


def _written_out(node: yaml.Node, sizes: dict[yaml.Node, tuple[int, int]]) -> int:
    """Return how many values a node is with every alias written out.

    Args:
        node: Where to begin.
        sizes: Of each node that was met: its values, and those of it alone; filled in.

    Raises:
        AliasError: An alias stands inside of what it repeats.
    """
    if node in sizes:
        written, own = sizes[node]
        if not written:
            raise AliasError(
                f"the value that begins in line {node.start_mark.line + 1} holds an alias (such as *name) of itself and would "
                "never end; write out what is meant."
            )
        return written
    own = 1 + (len(node.value) // _CHARACTERS_OF_A_VALUE if isinstance(node, yaml.ScalarNode) else 0)
    sizes[node] = (0, own)
    children = [] if isinstance(node, yaml.ScalarNode) else node.value
    if isinstance(node, yaml.MappingNode):
        children = [each for pair in node.value for each in pair]
    sizes[node] = (own + sum(_written_out(child, sizes) for child in children), own)
    return sizes[node][0]


def load_yaml(text: str, loader: type[ShallowLoader] = ShallowLoader) -> Any:
    """Read YAML of anybody.

    Raises:
        yaml.YAMLError: It is none, a value is not what its tag says (``!!int x``), or it is nested too deeply; AliasError,
            if its aliases repeat too much.
    """
    try:
        return yaml.load(text, Loader=loader)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # of the constructors of tags
        raise yaml.YAMLError(f"a value is not what its tag or form says ({first_line(error)})") from error


_TEXT, _WHOLE, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("str", "int", "merge"))
_NUMBERS = {
    _WHOLE: re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)\Z"),
    "tag:yaml.org,2002:float": re.compile(
        r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
}
"""As YAML 1.2 has them: 010 is 10 and no octal number, 1e-4 is a number, and 1:30 none of minutes."""


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    return int(text, 0 if text.lstrip("+-").startswith(("0b", "0o", "0x")) else 10)


class _UniqueKeysLoader(ShallowLoader):
    """Reads what JSON can say too: keys are texts, each once and with a value, and no value is a date."""

    yaml_implicit_resolvers = {
        first: [(tag, _NUMBERS.get(tag, pattern)) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {**yaml.SafeLoader.yaml_constructors, _WHOLE: _whole_number}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag not in (_TEXT, _MERGE):
                written = key_node.value if isinstance(key_node, yaml.ScalarNode) else key_node.id
                raise InvalidRequestError(
                    f"The key {shown(written)} in line {line} is no text; if it is meant as one, put it between quotes.",
                    param=str(written),
                )
            if key_node.value in seen:
                raise InvalidRequestError(
                    f"The key {shown(key_node.value)} is given twice, the second time in line {line}; keep one of them.",
                    param=key_node.value,
                )
            seen.add(key_node.value)
            if value_node.value == "" and value_node.tag not in (_TEXT, "!"):
                raise InvalidRequestError(
                    f"The key {shown(key_node.value)} in line {line} has no value; give it one, or leave the key out. Where null "
                    "is meant, write null.",
                    param=key_node.value,
                )
        return super().construct_mapping(node, deep)
