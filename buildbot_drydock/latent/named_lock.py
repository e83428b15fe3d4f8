"""``NamedLock``: something that only so many may use at once, such as the seats of a licence.

It is a blueprint with one resource, whose slots are leased as those of a host are; so all that holds
for leases holds for it, on one master or on many. There is no host: what exists is what the rows
say, and its provider has nothing to build.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn

import pydantic

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.definition import CommonFields, Definition, Surroundings
from buildbot_drydock.latent.problems import EDITABLE, Conflict, unit
from buildbot_drydock.model import (
    LOCK,
    Blueprint,
    BlueprintState,
    Observed,
    Resource,
    ResourceStatus,
)

MOST_SLOTS: Final = 10_000
POLL_SECONDS: Final = 1.0

_EXISTS: Final = (ResourceStatus.PENDING, ResourceStatus.ACTIVE)
_OF_HOSTS: Final = (
    *("limit", "leases_per_resource", "choices", "placement", "min_ready", "idle_timeout"),
    *("max_uses", "max_age", "boot_timeout", "listing_delay", "poll_interval", "sweep_interval"),
    *("failure_budget", "schedule"),
)
_REMEDIES: Final = {
    "limit": "say with slots how many may have it at once",
    "leases_per_resource": "say with slots how many may have it at once",
}

ResourcesOf = Callable[[str], Awaitable[Sequence[Resource]]]


class NamedLockFields(CommonFields):
    """The fields of ``NamedLock``."""

    slots: int = pydantic.Field(
        default=1,
        ge=1,
        le=MOST_SLOTS,
        description="How many leases may have it at once, on all masters together. It may be the "
        "second argument. If it is lowered, those who have it keep it, and no other gets it before "
        "fewer than this are left.",
        json_schema_extra=unit("leases") | EDITABLE,
    )

    def conflicts(self) -> Iterator[Conflict]:
        changed = [each for each in _OF_HOSTS if getattr(self, each) != _default(each)]
        if not changed:
            yield from super().conflicts()
        for field in changed:
            yield Conflict(
                (field,),
                "a lock has no hosts that this could be said of",
                _REMEDIES.get(field, f"remove {field}"),
            )


def _default(field: str) -> Any:
    return CommonFields.model_fields[field].get_default(call_default_factory=True)


class NamedLockProvider:
    """What a row says exists does, from the moment it is written until it is ended."""

    def __init__(self, name: str, resources_of: ResourcesOf) -> None:
        self._name = name
        self._resources_of = resources_of

    async def inventory(self) -> Sequence[Observed]:
        return [
            Observed(token=row.token, created_at=row.created_at)
            for row in await self._resources_of(self._name)
            if row.status in _EXISTS
        ]

    async def create(self, token: str, spec: HostSpec) -> None:
        """Nothing is to be done: the row that is wanted is there, or no host would be asked for."""

    async def destroy(self, token: str, identity: str = "") -> None:
        """Nothing is to be done: what has ended is not listed any more."""

    def connect(self, resource: Resource) -> NoReturn:
        """Raises ``HostUnreachable``: there is no host."""
        raise HostUnreachable(
            f"resource {resource.id} is the lock {self._name!r}, which has no host to run anything on"
        )


class NamedLock(Definition):
    """A lock that leases hold, with so many slots: ``NamedLock('matlab', 3)``.

    It counts for all masters on one database, where a `MasterLock` of Buildbot's counts for one. A
    build takes it by the step `LeaseResource`, a person by `drydock lease --type lock`. There is no
    host: it is always there, no worker starts on it, and no command runs on it. Of the fields that
    all blueprints have it takes `labels`, `allow`, `needs_approval` and `approvers`.
    """

    kind = "lock"
    fields_class = NamedLockFields
    provider_class = NamedLockProvider
    provides = LOCK
    has_host = False

    def __init__(self, name: object = "", *unnamed: object, **arguments: Any) -> None:
        if unnamed and "slots" not in arguments:
            arguments["slots"], unnamed = unnamed[0], unnamed[1:]
        super().__init__(name, *unnamed, **arguments)

    def blueprint(self, now: float, state: BlueprintState | None = None) -> Blueprint:
        fields = self.fields
        assert isinstance(fields, NamedLockFields)
        return replace(
            super().blueprint(now, state),
            leases_per_resource=fields.slots,
            min_ready=1,
            idle_timeout=None,
            poll_interval=POLL_SECONDS,
        )

    def provider(self, surroundings: Surroundings) -> NamedLockProvider:
        return NamedLockProvider(self.name, surroundings.resources)
