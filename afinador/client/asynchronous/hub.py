"""Models: those that jobs begin with, and what they made of them."""

from __future__ import annotations

from pathlib import Path

from afinador.client import calls, results
from afinador.client.answers import read_as
from afinador.client.asynchronous import downloads, following, model_uploads
from afinador.client.asynchronous.nouns import AsyncListing, AsyncNoun
from afinador.client.sending import Progress
from afinador.schemas.base import Deleted
from afinador.schemas.models import HubFile, ModelTypeFilter, Visibility


class AsyncModels(AsyncNoun):
    """Base models, and fine-tuned ones as OpenAI lists them."""

    async def create(
        self, name: str, source: str | Path, visibility: Visibility = "private", on_progress: Progress | None = None
    ) -> results.Model:
        """Register a base model: a ``Path`` of ours (sent if need be), a service's folder, or ``hf://…``. See ``wait``."""
        made = await model_uploads.create(self._connection, name, source, visibility, on_progress)
        return read_as(results.Model, made, self._connection.access.root_url)

    async def wait(self, model: results.Model | str, timeout_seconds: float = 3600) -> results.Model:
        """Wait until a model's files are there: ``ready`` or ``error``, with the reason in ``status_details``."""
        settled = await following.await_settled(
            self._connection, calls.get_model(model), "registering", timeout_seconds=timeout_seconds
        )
        return read_as(results.Model, settled, self._connection.access.root_url)

    def list(self, type: ModelTypeFilter | None = None) -> AsyncListing[results.Model]:
        """List the models; with ``type`` only those that are ``base`` or ``fine-tuned``."""
        return AsyncListing(self._connection, calls.list_models(type), results.Model)

    async def get(self, model: results.Model | str) -> results.Model:
        """Get a model by id or name."""
        return await self._ask(calls.get_model(model), results.Model)

    async def delete(self, model: results.Model | str) -> Deleted:
        """Delete a model; ``InUseError`` while jobs or adapters need it."""
        return await self._ask(calls.delete_model(model), Deleted)


class AsyncHub(AsyncNoun):
    """What the organisation's jobs made. An entry, given in the place of a name, stands for its one version."""

    def models(self) -> AsyncListing[results.HubEntry]:
        """List the models."""
        return AsyncListing(self._connection, calls.list_hub("model"), results.HubEntry)

    def adapters(self) -> AsyncListing[results.HubEntry]:
        """List the adapters."""
        return AsyncListing(self._connection, calls.list_hub("adapter"), results.HubEntry)

    async def get(self, name: results.HubEntry | str) -> results.HubEntry:
        """Get a model or adapter by name, or one version by its alias ``ft:…`` or its id."""
        return await self._ask(calls.get_hub("model", name), results.HubEntry)

    def files(self, name: results.HubEntry | str, version: int | None = None) -> AsyncListing[HubFile]:
        """List the files of a version, with sizes and hashes; of the newest, unless another is asked for."""
        return AsyncListing(self._connection, calls.list_hub_files("model", name, version), HubFile)

    async def content(self, name: results.HubEntry | str, path: str, version: int | None = None) -> bytes:
        """Read one file of a version by its path; of the newest, unless another is asked for."""
        return await downloads.content(self._connection, calls.hub_file("model", name, path, version))

    async def download(
        self, name: results.HubEntry | str, folder: Path | str, on_progress: downloads.FileProgress | None = None
    ) -> list[Path]:
        """Fetch all files into a folder, each checked against its SHA-256; what lies there already is kept."""
        return await downloads.download_hub(self._connection, "model", calls.id_of(name), Path(folder), on_progress)

    async def delete(self, name: results.HubEntry | str) -> Deleted:
        """Delete a name with all its versions, or the one version that an alias names."""
        return await self._ask(calls.delete_hub("model", name), Deleted)
