"""Base models from the Hugging Face Hub, or a mirror of it: safetensors, configuration and tokenizer, nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from afinador.config.resolve import check_parameter_count
from afinador.errors import (
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ServiceUnavailableError,
    UnsupportedModelError,
)
from afinador.settings import Settings
from afinador.storage import require_free_space

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_SOURCE = re.compile(r"hf://(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")
_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
_TEXT_SUFFIXES = (".json", ".model", ".txt", ".jinja")
_DOCUMENTS = ("README.md", "LICENSE", "LICENSE.md", "NOTICE")


@dataclass(frozen=True)
class HubSource:
    """A repository and a revision of it."""

    repository: str
    revision: str

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}"


def parse_source(source: str) -> HubSource:
    """Read ``hf://owner/name[@revision]``.

    Raises:
        InvalidRequestError: It has another form.
    """
    match = _SOURCE.fullmatch(source)
    if match is None:
        raise InvalidRequestError(
            f"source is {source!r}; write hf://owner/name or hf://owner/name@revision.", param="source"
        )
    return HubSource(match["repository"], match["revision"] or "main")


def download(settings: Settings, source: str, folder: Path) -> str:
    """Fetch a model into a folder; files that are there already are not fetched again.

    Returns:
        The source with the commit that was fetched, ``hf://owner/name@commit``.

    Raises:
        NotFoundError: No such repository or revision, or the token may not see it.
        PermissionDeniedError: The repository is gated for this token.
        UnsupportedModelError: It holds no safetensors weights.
        ModelTooLargeError: More than 15B parameters, as far as the Hub tells.
        InsufficientStorageError: The disk is too full.
        ServiceUnavailableError: The Hub does not answer.
    """
    from huggingface_hub import HfApi, snapshot_download  # half a second to import
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    wanted = parse_source(source)
    # False keeps the client from using the token of whoever is logged in on this machine.
    token = settings.hf_token.get_secret_value() if settings.hf_token else False
    with _translated(settings, wanted):
        api = HfApi(endpoint=settings.hf_endpoint, token=token)
        info = api.model_info(wanted.repository, revision=wanted.revision, files_metadata=True)
        sizes = _files_to_fetch(info, wanted)
        if info.safetensors is not None:
            check_parameter_count(wanted.repository, info.safetensors.total)
        require_free_space(folder, sum(sizes.values()), f"Downloading {wanted}")
        folder.mkdir(parents=True, exist_ok=True)
        snapshot_download(
            wanted.repository,
            revision=info.sha,
            local_dir=folder,
            allow_patterns=list(sizes),
            endpoint=settings.hf_endpoint,
            token=token,
        )
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return str(HubSource(wanted.repository, info.sha or wanted.revision))


def _files_to_fetch(info: ModelInfo, wanted: HubSource) -> dict[str, int]:
    """Return names and sizes of the files that are read later; other forms of the weights stay where they are."""
    files = {file.rfilename: file.size or 0 for file in info.siblings or []}
    chosen = {
        name: size
        for name, size in files.items()
        if "/" not in name
        and (_WEIGHTS.fullmatch(name) or name.endswith(_TEXT_SUFFIXES) or name in _DOCUMENTS)
        and not (name.endswith(".index.json") and not _WEIGHTS.fullmatch(name))
    }
    if not any(name.endswith(".safetensors") for name in chosen):
        raise UnsupportedModelError(
            f"{wanted} holds no model.safetensors; other forms of weights are not read. Choose a repository with "
            "safetensors weights."
        )
    return chosen


@contextmanager
def _translated(settings: Settings, wanted: HubSource) -> Iterator[None]:
    import httpx2  # what huggingface_hub speaks through
    from huggingface_hub import errors

    page = f"{settings.hf_endpoint.rstrip('/')}/{wanted.repository}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise PermissionDeniedError(
            f"{wanted} is gated: accept its terms at {page} and give the service a token of that account as HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotFoundError(f"{page} has no revision {wanted.revision!r}.", param="source") from error
    except errors.RepositoryNotFoundError as error:
        raise NotFoundError(
            f"There is no {page}, or it is private and the service's HF_TOKEN may not read it.", param="source"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise _away(settings) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise PermissionDeniedError(f"{page} refuses the service's HF_TOKEN (HTTP {status}).") from error
        raise ServiceUnavailableError(f"{page} answers HTTP {status}; try later.") from error
    except (httpx2.HTTPError, OSError) as error:
        raise _away(settings) from error


def _away(settings: Settings) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"The Hugging Face Hub ({settings.hf_endpoint}) does not answer; check the connection or HF_ENDPOINT."
    )
