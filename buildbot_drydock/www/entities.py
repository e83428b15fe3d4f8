"""The fields of each resource type, as ``application.spec`` describes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from buildbot.data import types

from buildbot_drydock.queries import Kind
from buildbot_drydock.store.listings import EVENTS, LEASES, RESOURCES
from buildbot_drydock.www import ledger


class Number(types.Instance):
    """A number, whole or not; of times, in seconds since the epoch."""

    name = "number"
    types = (float, int)
    ramlType = "number"
    graphQLType = "Float"

    def valueFromString(self, arg: bytes | str) -> float:
        number = float(arg)
        if not math.isfinite(number):
            raise ValueError("not a finite number")
        return number


class DrydockEntity(types.Entity):
    """Tells our types from those of others."""

    kinds: Mapping[str, Kind]


_TYPES: Final[Mapping[Kind, Any]] = {
    Kind.INTEGER: types.Integer,
    Kind.NUMBER: Number,
    Kind.TEXT: types.String,
    Kind.ATTRIBUTE: types.String,
    Kind.BOOLEAN: types.Boolean,
    Kind.OBJECT: types.JsonObject,
}


def entity(
    name: str,
    kinds: Mapping[str, Kind],
    *,
    known: tuple[str, ...],
    lists: Mapping[str, types.Type],
) -> DrydockEntity:
    """Make the type of rows with these fields. *known* ones are never null."""
    fields: dict[str, Any] = {}
    for each, kind in kinds.items():
        if each in lists:
            fields[each] = types.List(of=lists[each])
        else:
            made = _TYPES[kind]()
            fields[each] = made if each in known else types.NoneOk(made)
    described: DrydockEntity = type(f"{name}_entity", (DrydockEntity,), fields)(name)
    described.kinds = kinds
    return described


_TEXTS: Final = types.String()

# What is worked out beside what a row holds.
LEASE_EXTRA: Final = {"person": Kind.TEXT, "worker": Kind.TEXT, "reasons": Kind.OBJECT}
RESOURCE_EXTRA: Final = {"cost": Kind.NUMBER}
EVENT_EXTRA: Final = {"sentence": Kind.TEXT}

BLUEPRINT_KINDS: Final = {
    "name": Kind.TEXT,
    "kind": Kind.TEXT,
    "provides": Kind.TEXT,
    "state": Kind.TEXT,
    "configured": Kind.BOOLEAN,
    "mode": Kind.TEXT,
    "mode_reason": Kind.TEXT,
    "mode_author": Kind.TEXT,
    "mode_until": Kind.NUMBER,
    "failures": Kind.INTEGER,
    "retry_at": Kind.NUMBER,
    "misconfigured": Kind.BOOLEAN,
    "last_error": Kind.TEXT,
    "listing_error": Kind.TEXT,
    "version": Kind.INTEGER,
    "limit": Kind.INTEGER,
    "capacity": Kind.INTEGER,
    "min_ready": Kind.INTEGER,
    "leases_per_resource": Kind.INTEGER,
    "labels": Kind.OBJECT,
    "choices": Kind.OBJECT,
    "resources": Kind.OBJECT,
    "living": Kind.INTEGER,
    "slots": Kind.INTEGER,
    "leased": Kind.INTEGER,
    "idle": Kind.INTEGER,
    "parked": Kind.INTEGER,
    "waiting": Kind.INTEGER,
    "hourly_cost": Kind.NUMBER,
    "max_hourly_cost": Kind.NUMBER,
    "configuration": Kind.OBJECT,
    "overrides": Kind.OBJECT,
    "effective": Kind.OBJECT,
    "schema": Kind.OBJECT,
}
HOST_KINDS: Final = {
    "name": Kind.TEXT,
    "hostid": Kind.TEXT,
    "blueprints": Kind.OBJECT,
    "listed": Kind.BOOLEAN,
    "in_service": Kind.BOOLEAN,
    "disabled": Kind.BOOLEAN,
    "why": Kind.TEXT,
    "labels": Kind.OBJECT,
    "slots": Kind.INTEGER,
    "leased": Kind.INTEGER,
    "mode": Kind.TEXT,
    "at_once": Kind.BOOLEAN,
    "mode_reason": Kind.TEXT,
    "mode_author": Kind.TEXT,
    "mode_until": Kind.NUMBER,
    "version": Kind.INTEGER,
    "resourceid": Kind.INTEGER,
    "resource_status": Kind.TEXT,
}

BLUEPRINT: Final = entity(
    "drydock_blueprint",
    BLUEPRINT_KINDS,
    known=(
        *("name", "state", "mode", "labels", "choices", "resources", "configuration"),
        *("overrides", "effective"),
    ),
    lists={},
)
HOST: Final = entity(
    "drydock_host",
    HOST_KINDS,
    known=("name", "hostid", "mode", "labels"),
    lists={"blueprints": _TEXTS},
)
LEDGER: Final = entity(
    "drydock_ledger",
    ledger.KINDS,
    known=("ledgerid", "blueprint", "verdict", "why", "token", "identity", "listed"),
    lists={"actions": _TEXTS},
)
RESOURCE: Final = entity(
    "drydock_resource",
    {**RESOURCES.kinds, **RESOURCE_EXTRA},
    known=("resourceid", "blueprint", "status", "labels"),
    lists={"locks": _TEXTS},
)
LEASE: Final = entity(
    "drydock_lease",
    {**LEASES.kinds, **LEASE_EXTRA},
    known=("leaseid", "owner", "status", "requires", "attributes"),
    lists={
        **{"locks": _TEXTS, "returns": _TEXTS, "blueprints": _TEXTS, "subjects": _TEXTS},
        "reasons": types.JsonObject(),
    },
)
EVENT: Final = entity(
    "drydock_event",
    {**EVENTS.kinds, **EVENT_EXTRA},
    known=("eventid", "at", "kind", "actor", "data", "sentence"),
    lists={},
)
