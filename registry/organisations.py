"""Organisations, their keys, and the operator's. A key's text is answered once and kept only as a hash."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Select, or_, select
from sqlalchemy import update as sql_update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from afinador.errors import NameTakenError, NotFoundError, nearest
from afinador.schemas import organizations as wire
from afinador.settings import Settings
from registry.ledger.ids import random_text
from registry.ledger.tables import ApiKey, OperatorKey, Organization

FIRST_ORGANIZATION = "default"


@dataclass(frozen=True)
class FirstStart:
    """What the first start made; the texts are shown once and cannot be had again.

    Attributes:
        operator_key: None when the settings hold one.
    """

    organization: Organization
    key: str
    operator_key: str | None


def create(session: Session, name: str) -> Organization:
    """Make an organisation.

    Raises:
        NameTakenError: There is one of this name.
    """
    organization = Organization(name=name)
    try:
        with session.begin_nested():
            session.add(organization)
    except IntegrityError as error:
        raise NameTakenError(
            f"There is an organization {name!r} already; choose another name.", param="name"
        ) from error
    return organization


def get(session: Session, id_or_name: str) -> Organization:
    """Return an organisation.

    Raises:
        NotFoundError: There is none; names the nearest.
    """
    query = select(Organization).where(or_(Organization.id == id_or_name, Organization.name == id_or_name))
    found = session.scalars(query).first()
    if found is None:
        names = session.scalars(select(Organization.name).limit(1000))
        raise NotFoundError(
            f"There is no organization {id_or_name!r}; `afinador list organization` shows all.{nearest(id_or_name, names)}",
            param="organization",
            code="organization_not_found",
        )
    return found


def list_all(session: Session) -> list[Organization]:
    """Return all organisations, by name; for the operator."""
    return list(session.scalars(select(Organization).order_by(Organization.name)))


def update(session: Session, id_or_name: str, **changed: int | None) -> Organization:
    """Set ``concurrency_limit`` or ``priority``; Prefect's queues follow, see ``registry.prefect_runs.work_queues``.

    Raises:
        NotFoundError: There is no such organisation.
    """
    organization = get(session, id_or_name)
    if changed:
        values = {**changed, "queues_are_current": False}
        session.execute(sql_update(Organization).where(Organization.id == organization.id).values(**values))
        session.refresh(organization)
    return organization


def create_key(session: Session, organization_id: str, name: str) -> tuple[ApiKey, str]:
    """Make a key; its text is the second value and is kept nowhere."""
    key_text = f"af-{random_text(40)}"
    key = ApiKey(organization_id=organization_id, name=name, hash=_hash(key_text), prefix=key_text[:7])
    session.add(key)
    session.flush()
    return key, key_text


def authenticate(session: Session, key_text: str) -> Organization | None:
    """Return the organisation of a key that is known and not revoked, else None."""
    digest = _hash(key_text)
    query = (
        select(Organization, ApiKey.hash)
        .join(ApiKey, ApiKey.organization_id == Organization.id)
        .where(ApiKey.hash == digest, ApiKey.revoked_at.is_(None))
    )
    found = session.execute(query).first()
    if found is None or not hmac.compare_digest(found.hash, digest):
        return None
    return found.Organization


def list_keys(session: Session, organization_id: str) -> list[ApiKey]:
    """Return an organisation's keys that are not revoked, newest first."""
    return list(session.scalars(_keys().where(ApiKey.organization_id == organization_id)))


def list_all_keys(session: Session) -> list[ApiKey]:
    """Return the keys of all organisations that are not revoked, by the organisation's name; for the operator."""
    return list(session.scalars(_keys()))


def _keys() -> Select[tuple[ApiKey]]:
    query = select(ApiKey).join(Organization, ApiKey.organization_id == Organization.id)
    newest_first = (Organization.name, ApiKey.created_at.desc(), ApiKey.id)
    return query.where(ApiKey.revoked_at.is_(None)).order_by(*newest_first)


def revoke_key(session: Session, organization_id: str, key_id: str) -> ApiKey:
    """Make a key worthless at once; doing it twice changes nothing.

    Raises:
        NotFoundError: The organisation has no such key.
    """
    mine = (ApiKey.organization_id == organization_id, ApiKey.id == key_id)
    session.execute(sql_update(ApiKey).where(*mine, ApiKey.revoked_at.is_(None)).values(revoked_at=time.time()))
    key = session.scalars(select(ApiKey).where(*mine)).first()
    if key is None:
        raise NotFoundError(
            f"There is no API key {key_id!r} in this organization.", param="key", code="api_key_not_found"
        )
    return key


def is_operator(session: Session, key_text: str, settings: Settings) -> bool:
    """Tell whether a key is the operator's: the one of the settings, or the one of the first start."""
    configured = settings.operator_key
    if configured is not None and hmac.compare_digest(_hash(configured.get_secret_value()), _hash(key_text)):
        return True
    digest = _hash(key_text)
    found = session.scalars(select(OperatorKey.hash).where(OperatorKey.hash == digest)).first()
    return found is not None and hmac.compare_digest(found, digest)


def first_start(session: Session, settings: Settings) -> FirstStart | None:
    """Make the organisation ``default`` with a key, and an operator key unless the settings hold one.

    Returns:
        None when there is an organisation already.
    """
    if session.scalars(select(Organization.id).limit(1)).first() is not None:
        return None
    organization = create(session, FIRST_ORGANIZATION)
    _, key_text = create_key(session, organization.id, "first")
    operator_key = None
    if settings.operator_key is None:
        operator_key = f"af-operator-{random_text(40)}"
        session.add(OperatorKey(hash=_hash(operator_key)))
        session.flush()
    return FirstStart(organization, key_text, operator_key)


def to_wire(row: Organization) -> wire.Organization:
    """Return an organisation as it is answered."""
    return wire.Organization(
        id=row.id,
        name=row.name,
        created_at=int(row.created_at),
        concurrency_limit=row.concurrency_limit,
        priority=row.priority,
    )


def key_to_wire(row: ApiKey, key_text: str | None = None) -> wire.ApiKey:
    """Return a key as it is answered; ``key_text`` only in the answer to its making."""
    return wire.ApiKey(
        id=row.id,
        organization_id=row.organization_id,
        name=row.name,
        prefix=row.prefix,
        created_at=int(row.created_at),
        key=key_text,
    )


def _hash(key_text: str) -> str:
    # The keys are random and long: a slow, salted hash would add nothing but time.
    return sha256(key_text.encode()).hexdigest()
