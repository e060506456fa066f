"""Who asks: an organisation by one of its keys, or the operator.

A key is looked up in a short transaction of its own, before the body is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from afinador.errors import AuthenticationError, NotFoundError, PermissionDeniedError
from api.service import TheService
from registry import organisations
from registry.ledger.tables import Organization

_BEARER = HTTPBearer(auto_error=False, scheme_name="Bearer", description="A key of an organisation, or the operator's.")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="X-API-Key")
_REMEDY = "Send a key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'; the operator makes keys (POST /v1/api_keys)."


def key_of(request: Request, _bearer: object = Security(_BEARER), _header: object = Security(_HEADER)) -> str:
    """Return the key that came with a request.

    Raises:
        AuthenticationError: There is none.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    key = credentials.strip() if scheme.lower() == "bearer" else ""
    key = key or request.headers.get("x-api-key", "").strip()
    if not key:
        raise AuthenticationError(f"This request carries no API key. {_REMEDY}")
    return key


Key = Annotated[str, Depends(key_of)]


def current_organization(key: Key, service: TheService) -> Organization:
    """Return the organisation whose key came with a request.

    Raises:
        AuthenticationError: Nobody knows the key.
        PermissionDeniedError: It is the operator's, who owns no files, jobs and models.
    """
    with service.memory.database.reading() as session:
        organization = organisations.authenticate(session, key)
        if organization is not None:
            return organization
        if organisations.is_operator(session, key, service.memory.settings):
            raise PermissionDeniedError(
                "The operator's key belongs to no organization. Use a key of one; POST /v1/api_keys makes it."
            )
    raise AuthenticationError(f"This API key is not known, or was revoked. {_REMEDY}")


def require_operator(key: Key, service: TheService) -> None:
    """Let only the operator pass.

    Raises:
        AuthenticationError: Nobody knows the key.
        PermissionDeniedError: It is an organisation's.
    """
    with service.memory.database.reading() as session:
        if organisations.is_operator(session, key, service.memory.settings):
            return
        if organisations.authenticate(session, key) is not None:
            raise PermissionDeniedError("Organizations and keys are the operator's to make; use the operator's key.")
    raise AuthenticationError(f"This API key is not known, or was revoked. {_REMEDY}")


@dataclass(frozen=True)
class Caller:
    """Who handles base models: an organisation, or the operator in its name."""

    organization: Organization
    is_operator: bool


def current_caller(request: Request, key: Key, service: TheService) -> Caller:
    """Return the organisation of a key, or with the operator's key the one that ``OpenAI-Organization`` names.

    Without that header the operator acts for the first organisation that was made.

    Raises:
        AuthenticationError: Nobody knows the key.
        NotFoundError: There is no organisation of that name.
    """
    with service.memory.database.reading() as session:
        if not organisations.is_operator(session, key, service.memory.settings):
            return Caller(current_organization(key, service), is_operator=False)
        if named := request.headers.get("openai-organization"):
            return Caller(organisations.get(session, named), is_operator=True)
        oldest = min(organisations.list_all(session), key=lambda row: row.created_at, default=None)
    if oldest is None:
        raise NotFoundError("There is no organization yet; POST /v1/organizations makes one.")
    return Caller(oldest, is_operator=True)


CurrentOrganization = Annotated[Organization, Depends(current_organization)]
CurrentCaller = Annotated[Caller, Depends(current_caller)]
OPERATOR_ONLY = Depends(require_operator)
