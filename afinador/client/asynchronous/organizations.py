"""Organisations and their keys; the operator's to make."""

from __future__ import annotations

from typing import Unpack

from afinador.client import calls, results
from afinador.client.asynchronous.nouns import AsyncListing, AsyncNoun
from afinador.schemas.base import Deleted


class AsyncOrganizations(AsyncNoun):
    """Organisations."""

    async def create(self, name: str) -> results.Organization:
        """Make an organisation."""
        return await self._ask(calls.create_organization(name), results.Organization)

    async def update(
        self, organization: results.Organization | str, **changed: Unpack[calls.OrganizationChanges]
    ) -> results.Organization:
        """Set how it shares the work pools; what is left out stays as it is.

        Args:
            organization: Its id, its name, or itself.
            **changed: ``concurrency_limit``: how many of its jobs run at once in each pool, None for no limit;
                ``priority``: its jobs come before those of a lower one.
        """
        return await self._ask(calls.update_organization(organization, **changed), results.Organization)

    def list(self) -> AsyncListing[results.Organization]:
        """List the organisations."""
        return AsyncListing(self._connection, calls.list_organizations(), results.Organization)


class AsyncApiKeys(AsyncNoun):
    """Keys of organisations."""

    async def create(self, organization: results.Organization | str, name: str = "default") -> results.ApiKey:
        """Make a key; its ``key`` is told this once."""
        return await self._ask(calls.create_api_key(calls.id_of(organization), name), results.ApiKey)

    def list(self, organization: results.Organization | str | None = None) -> AsyncListing[results.ApiKey]:
        """List keys, without the keys themselves."""
        return AsyncListing(
            self._connection,
            calls.list_api_keys(None if organization is None else calls.id_of(organization)),
            results.ApiKey,
        )

    async def delete(self, key: results.ApiKey | str) -> Deleted:
        """Revoke a key by id."""
        return await self._ask(calls.delete_api_key(key), Deleted)
