"""Base models from the Hugging Face Hub, or a mirror of it: safetensors, configuration, tokenizer, card and terms."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from afinador.config.architectures import check_parameter_count
from afinador.errors import (
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ServiceUnavailableError,
    UnsupportedModelError,
)
from afinador.models.licenses import is_terms
from afinador.settings import Settings
from afinador.storage import require_free_space
from registry.hugging_face.hub_sources import DatasetSource

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_SOURCE = re.compile(r"hf://(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")
_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
_TEXT_SUFFIXES = (".json", ".model", ".txt", ".jinja")


@dataclass(frozen=True)
class HubSource:
    """A repository and a revision of it."""

    repository: str
    revision: str

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}"

    @property
    def page(self) -> str:
        """Where people find it, below the endpoint."""
        return self.repository


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


@dataclass(frozen=True)
class Wanted:
    """What is going to be fetched.

    Attributes:
        source: With the commit that the revision led to.
        files: ``{name: {"bytes", "sha256"}}``; the hash where the Hub tells it, which it does for weights.
    """

    source: HubSource
    files: dict[str, dict[str, Any]]


def look_up(settings: Settings, source: str) -> Wanted:
    """Ask the Hub for the commit and the files of a model.

    Raises:
        NotFoundError: No such repository or revision, or the token may not see it.
        PermissionDeniedError: The repository is gated for this token.
        UnsupportedModelError: It holds no safetensors weights.
        ModelTooLargeError: More than 15B parameters, as far as the Hub tells.
        ServiceUnavailableError: The Hub does not answer.
    """
    from huggingface_hub import HfApi  # half a second to import

    wanted = parse_source(source)
    with translated(settings, wanted):
        api = HfApi(endpoint=settings.hf_endpoint, token=token(settings))
        info = api.model_info(wanted.repository, revision=wanted.revision, files_metadata=True)
    files = _files_to_fetch(info, wanted)
    if info.safetensors is not None:
        check_parameter_count(wanted.repository, info.safetensors.total)
    return Wanted(HubSource(wanted.repository, info.sha or wanted.revision), files)


def download(settings: Settings, wanted: Wanted, folder: Path) -> None:
    """Fetch a model into a folder; files that are there already are not fetched again.

    A connection that breaks is taken up again where it broke. Sizes are checked here, hashes by whoever reads the
    files anyway.

    Raises:
        PermissionDeniedError: The repository is gated for this token.
        InsufficientStorageError: The disk is too full.
        ServiceUnavailableError: The Hub does not answer.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    # Plain HTTP goes through HF_ENDPOINT and proxies alone, and leaves bytes on the disk that can be counted.
    constants.HF_HUB_DISABLE_XET = True
    total_bytes = sum(file["bytes"] for file in wanted.files.values())
    require_free_space(folder, total_bytes, f"Downloading {wanted.source}")
    with translated(settings, wanted.source):
        folder.mkdir(parents=True, exist_ok=True)
        snapshot_download(
            wanted.source.repository,
            revision=wanted.source.revision,
            local_dir=folder,
            allow_patterns=list(wanted.files),
            endpoint=settings.hf_endpoint,
            token=token(settings),
        )
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def token(settings: Settings) -> str | Literal[False]:
    """Return the service's token; False keeps the client from using that of whoever is logged in on this machine."""
    return settings.hf_token.get_secret_value() if settings.hf_token else False


def _files_to_fetch(info: ModelInfo, wanted: HubSource) -> dict[str, dict[str, Any]]:
    """Return the files that are read later; other forms of the weights stay where they are."""
    files = {
        file.rfilename: {"bytes": file.size or 0, "sha256": file.lfs.sha256 if file.lfs else None}
        for file in info.siblings or []
    }
    chosen = {
        name: file
        for name, file in files.items()
        if "/" not in name
        and (_WEIGHTS.fullmatch(name) or name.endswith(_TEXT_SUFFIXES) or name == "README.md" or is_terms(name))
        and not (name.endswith(".index.json") and not _WEIGHTS.fullmatch(name))
    }
    if not any(name.endswith(".safetensors") for name in chosen):
        raise UnsupportedModelError(
            f"{wanted} holds no model.safetensors; other forms of weights are not read. Choose a repository with "
            "safetensors weights."
        )
    return chosen


@contextmanager
def translated(settings: Settings, wanted: HubSource | DatasetSource) -> Iterator[None]:
    """Say in our words why the Hub does not give what is asked of it within this context.

    Raises:
        NotFoundError: No such repository or revision, or the token may not see it.
        PermissionDeniedError: The repository is gated for this token, or the token is no good.
        ServiceUnavailableError: The Hub does not answer.
    """
    import httpx2  # what huggingface_hub speaks through
    from huggingface_hub import errors

    page = f"{settings.hf_endpoint.rstrip('/')}/{wanted.page}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise PermissionDeniedError(
            f"{wanted} is gated: accept its terms at {page} and give the service a token of that account as HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotFoundError(
            f"{page} has no revision {wanted.revision!r}; give a branch, a tag or a commit of it.", param="source"
        ) from error
    except errors.RepositoryNotFoundError as error:
        private = "the service's HF_TOKEN may not read it" if settings.hf_token else "the service has no HF_TOKEN"
        raise NotFoundError(
            f"There is no {page}, or it is private and {private}; check the name, or set HF_TOKEN to a token that may "
            "read it.",
            param="source",
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise _away(settings) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            remedy = "set HF_TOKEN to one that is valid" if settings.hf_token else "set HF_TOKEN"
            raise PermissionDeniedError(f"{page} refuses access (HTTP {status}): {remedy}.") from error
        raise ServiceUnavailableError(f"{page} answers HTTP {status}; try later.") from error
    except (httpx2.HTTPError, OSError) as error:
        raise _away(settings) from error
    except json.JSONDecodeError as error:
        raise ServiceUnavailableError(
            f"{settings.hf_endpoint} answers with something else than a Hugging Face Hub does; check HF_ENDPOINT and the "
            "proxy."
        ) from error


def _away(settings: Settings) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"The Hugging Face Hub ({settings.hf_endpoint}) does not answer; check the connection or HF_ENDPOINT."
    )
