"""Authorizations in the data API: who may use which blueprint, and deciding that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pydantic
from buildbot.data import base

from buildbot_drydock.model import AuthorizationStatus
from buildbot_drydock.queries import Kind
from buildbot_drydock.store.authorization_listing import AUTHORIZATIONS
from buildbot_drydock.www import overview
from buildbot_drydock.www.actions import Action, Name, Reason, Run, missing, number_in
from buildbot_drydock.www.discretion import discreet
from buildbot_drydock.www.endpoints import DrydockRowEndpoint, DrydockRowsEndpoint
from buildbot_drydock.www.entities import entity

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

# What is worked out: who may decide, and whether that counts as the blueprint is configured now.
_EXTRA: Final = {"approvers": Kind.TEXT, "in_force": Kind.BOOLEAN}

AUTHORIZATION: Final = entity(
    "drydock_authorization",
    {**AUTHORIZATIONS.kinds, **_EXTRA},
    known=("authorizationid", "blueprint", "subject", "status"),
    lists={},
)


class DecideArguments(Reason):
    blueprint: Name = pydantic.Field(description="The blueprint, which has to need approval.")
    subject: Name = pydantic.Field(
        description="Who may use it: builder/NAME, project/NAME or person/NAME."
    )


def shown(service: DrydockService, rows: Sequence[dict[str, Any]]) -> overview.Shown:
    """Return rows with what the configuration says of their blueprints."""
    definitions = service.definitions()
    found = []
    for row in rows:
        definition = definitions.get(row.get("blueprint", ""))
        row = {
            **row,
            "approvers": "" if definition is None else definition.fields.approvers,
            "in_force": definition is not None and definition.fields.needs_approval,
        }
        found.append(discreet(row))
    return found


def _decide(status: AuthorizationStatus) -> Run:
    async def decide(
        service: DrydockService, path: Mapping[str, Any], actor: str, asked: DecideArguments
    ) -> int:
        row = await service.approvals.decide(
            asked.blueprint, asked.subject, status, actor=actor, reason=asked.reason
        )
        return row.id

    return decide


def _decide_one(status: AuthorizationStatus) -> Run:
    async def decide(
        service: DrydockService, path: Mapping[str, Any], actor: str, asked: Reason
    ) -> int:
        number = number_in(path, "authorizationid")
        found = await service.listings.rows(AUTHORIZATIONS, [number])
        if not found:
            missing(f"there is no authorization {number}")
        await service.approvals.decide(
            found[0]["blueprint"], found[0]["subject"], status, actor=actor, reason=asked.reason
        )
        return number

    return decide


class _OfAuthorizations:
    listing = AUTHORIZATIONS

    def finished(self, service: DrydockService, rows: Sequence[dict[str, Any]]) -> overview.Shown:
        return shown(service, rows)


class DrydockAuthorizationsEndpoint(_OfAuthorizations, DrydockRowsEndpoint):
    pathPatterns = [
        "/drydock_authorizations",
        "/drydock_blueprints/i:blueprint/drydock_authorizations",
    ]
    rootLinkName = "drydock_authorizations"
    kinds = AUTHORIZATION.kinds
    needed = ("blueprint",)
    actions = {
        "approve": Action(DecideArguments, _decide(AuthorizationStatus.APPROVED)),
        "decline": Action(DecideArguments, _decide(AuthorizationStatus.DECLINED)),
    }

    async def shown(self, service: DrydockService, changed: Any) -> Any:
        (row,) = shown(service, await service.listings.rows(AUTHORIZATIONS, [changed]))
        return row


class DrydockAuthorizationEndpoint(_OfAuthorizations, DrydockRowEndpoint):
    pathPatterns = ["/drydock_authorizations/n:authorizationid"]
    actions = {
        "approve": Action(Reason, _decide_one(AuthorizationStatus.APPROVED)),
        "decline": Action(Reason, _decide_one(AuthorizationStatus.DECLINED)),
    }


class DrydockAuthorization(base.ResourceType):
    name = "drydock_authorization"
    plural = "drydock_authorizations"
    endpoints = [DrydockAuthorizationsEndpoint, DrydockAuthorizationEndpoint]
    eventPathPatterns = [
        "/drydock_authorizations/:authorizationid",
        "/drydock_blueprints/:blueprint/drydock_authorizations/:authorizationid",
    ]
    entityType = AUTHORIZATION
