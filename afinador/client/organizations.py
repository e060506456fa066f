# Made by docs/generate.py from afinador/client/asynchronous/organizations.py; change that, then run `make docs`.
"""Organisations and their keys; the operator's to make."""

from __future__ import annotations

from typing import Unpack

from afinador.client import calls, results
from afinador.client.nouns import Listing, Noun
from afinador.schemas.base import Deleted


class Organizations(Noun):
    """Organisations."""

    def create(self, name: str) -> results.Organization:
        """Make an organisation."""
        return self._ask(calls.create_organization(name), results.Organization)

    def update(
        self, organization: results.Organization | str, **changed: Unpack[calls.OrganizationChanges]
    ) -> results.Organization:
        """Set how it shares the work pools; what is left out stays as it is.

        Args:
            organization: Its id, its name, or itself.
            **changed: ``concurrency_limit``: how many of its jobs run at once in each pool, None for no limit;
                ``priority``: its jobs come before those of a lower one.
        """
        return self._ask(calls.update_organization(organization, **changed), results.Organization)

    def list(self) -> Listing[results.Organization]:
        """List the organisations."""
        return Listing(self._connection, calls.list_organizations(), results.Organization)


class ApiKeys(Noun):
    """Keys of organisations."""

    def create(self, organization: results.Organization | str, name: str = "default") -> results.ApiKey:
        """Make a key; its ``key`` is told this once."""
        return self._ask(calls.create_api_key(calls.id_of(organization), name), results.ApiKey)

    def list(self, organization: results.Organization | str | None = None) -> Listing[results.ApiKey]:
        """List keys, without the keys themselves."""
        return Listing(
            self._connection,
            calls.list_api_keys(None if organization is None else calls.id_of(organization)),
            results.ApiKey,
        )

    def delete(self, key: results.ApiKey | str) -> Deleted:
        """Revoke a key by id."""
        return self._ask(calls.delete_api_key(key), Deleted)
