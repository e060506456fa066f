# Made by docs/generate.py from afinador/client/asynchronous/hub.py; change that, then run `make docs`.
"""Models: those that jobs begin with, and what they made of them."""

from __future__ import annotations

from pathlib import Path

from afinador.client import calls, downloads, following, model_uploads, results
from afinador.client.answers import read_as
from afinador.client.nouns import Listing, Noun
from afinador.client.sending import Progress
from afinador.schemas.base import Deleted
from afinador.schemas.models import HubFile, ModelTypeFilter, Visibility


class Models(Noun):
    """Base models, and fine-tuned ones as OpenAI lists them."""

    def create(
        self, name: str, source: str | Path, visibility: Visibility = "private", on_progress: Progress | None = None
    ) -> results.Model:
        """Register a base model: a ``Path`` of ours (sent if need be), a service's folder, or ``hf://…``. See ``wait``."""
        made = model_uploads.create(self._connection, name, source, visibility, on_progress)
        return read_as(results.Model, made, self._connection.access.root_url)

    def wait(self, model: results.Model | str, timeout_seconds: float = 3600) -> results.Model:
        """Wait until a model's files are there: ``ready`` or ``error``, with the reason in ``status_details``."""
        settled = following.await_settled(
            self._connection, calls.get_model(model), "registering", timeout_seconds=timeout_seconds
        )
        return read_as(results.Model, settled, self._connection.access.root_url)

    def list(self, type: ModelTypeFilter | None = None) -> Listing[results.Model]:
        """List the models; with ``type`` only those that are ``base`` or ``fine-tuned``."""
        return Listing(self._connection, calls.list_models(type), results.Model)

    def get(self, model: results.Model | str) -> results.Model:
        """Get a model by id or name."""
        return self._ask(calls.get_model(model), results.Model)

    def delete(self, model: results.Model | str) -> Deleted:
        """Delete a model; ``InUseError`` while jobs or adapters need it."""
        return self._ask(calls.delete_model(model), Deleted)


class Hub(Noun):
    """What the organisation's jobs made. An entry, given in the place of a name, stands for its one version."""

    def models(self) -> Listing[results.HubEntry]:
        """List the models."""
        return Listing(self._connection, calls.list_hub("model"), results.HubEntry)

    def adapters(self) -> Listing[results.HubEntry]:
        """List the adapters."""
        return Listing(self._connection, calls.list_hub("adapter"), results.HubEntry)

    def get(self, name: results.HubEntry | str) -> results.HubEntry:
        """Get a model or adapter by name, or one version by its alias ``ft:…`` or its id."""
        return self._ask(calls.get_hub("model", name), results.HubEntry)

    def files(self, name: results.HubEntry | str, version: int | None = None) -> Listing[HubFile]:
        """List the files of a version, with sizes and hashes; of the newest, unless another is asked for."""
        return Listing(self._connection, calls.list_hub_files("model", name, version), HubFile)

    def content(self, name: results.HubEntry | str, path: str, version: int | None = None) -> bytes:
        """Read one file of a version by its path; of the newest, unless another is asked for."""
        return downloads.content(self._connection, calls.hub_file("model", name, path, version))

    def download(
        self, name: results.HubEntry | str, folder: Path | str, on_progress: downloads.FileProgress | None = None
    ) -> list[Path]:
        """Fetch all files into a folder, each checked against its SHA-256; what lies there already is kept."""
        return downloads.download_hub(self._connection, "model", calls.id_of(name), Path(folder), on_progress)

    def delete(self, name: results.HubEntry | str) -> Deleted:
        """Delete a name with all its versions, or the one version that an alias names."""
        return self._ask(calls.delete_hub("model", name), Deleted)
