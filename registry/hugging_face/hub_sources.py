"""The names of data sets on the Hugging Face Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass

from afinador.errors import InvalidRequestError

_SOURCE = re.compile(
    r"hf://(?P<repository>\w[\w.-]*/\w[\w.-]*)(:(?P<config>\w[\w.+-]*))?(@(?P<revision>\w[\w./-]*))?", re.ASCII
)
_LONGEST = 300


@dataclass(frozen=True)
class DatasetSource:
    """A data set, one config of it, and a revision.

    Attributes:
        config: None for the default one.
        revision: Branch, tag or commit; None for the branch main.
    """

    repository: str
    config: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        config = f":{self.config}" if self.config else ""
        return f"hf://{self.repository}{config}" + (f"@{self.revision}" if self.revision else "")

    @property
    def filename(self) -> str:
        """What its file is called: all of its files are kept in one archive."""
        return f"{self.repository.replace('/', '--')}{f'--{self.config}' if self.config else ''}.tar"

    @property
    def page(self) -> str:
        """Where people find it, below the endpoint."""
        return f"datasets/{self.repository}"


def parse_dataset_source(source: str, *, param: str = "source") -> DatasetSource:
    """Read ``hf://owner/name[:config][@revision]``.

    Raises:
        InvalidRequestError: It has another form.
    """
    match = _SOURCE.fullmatch(source) if len(source) <= _LONGEST else None
    if match is None:
        raise InvalidRequestError(
            f"{source[:_LONGEST]!r} is no data set of the Hugging Face Hub; write hf://owner/name, with :config and "
            "@revision behind it where they are needed.",
            param=param,
        )
    return DatasetSource(match["repository"], match["config"], match["revision"])


def source_of(source: str | None, revision: str | None) -> str | None:
    """Return the source of a file with the commit that was fetched; without, as long as nothing was."""
    if source is None or revision is None:
        return source
    parsed = parse_dataset_source(source)
    return str(DatasetSource(parsed.repository, parsed.config, revision))
