"""What visitors may ask for, beside reading: the arguments of each action, and what it does.

Whether they may is decided before, by Buildbot's rules (see ``authz``). Each action leaves an event
with who did it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import pydantic
from buildbot.data.exceptions import InvalidPathError
from buildbot.www.rest import JSONRPC_CODES, BadJsonRpc2

from buildbot_drydock.errors import DrydockError
from buildbot_drydock.latent.definition import LabelKey, LabelValue
from buildbot_drydock.latent.overrides import editable_values, problems_of_edit
from buildbot_drydock.latent.problems import Fields, examine, unit
from buildbot_drydock.ledger import Entry
from buildbot_drydock.model import Mode, Override
from buildbot_drydock.queries import MOST_INTEGER, is_plain
from buildbot_drydock.www import ledger, overview

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

LONGEST_LEASE: Final = 7 * 86_400.0  # seconds, until it has to be renewed
_LAST_TIME: Final = 1e11  # the year 5138


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError("it has characters that no database holds")
    return text


Text = Annotated[str, pydantic.AfterValidator(_plain), pydantic.StringConstraints(max_length=1_000)]
Name = Annotated[
    str,
    pydantic.AfterValidator(_plain),
    pydantic.StringConstraints(min_length=1, max_length=190),
]
Time = Annotated[float, pydantic.Field(ge=0, le=_LAST_TIME)]
Seconds = Annotated[float, pydantic.Field(gt=0, le=LONGEST_LEASE)]


class Reason(Fields):
    reason: Text = pydantic.Field(default="", description="Why, for others to read.")


class ModeArguments(Reason):
    until: Time | None = pydantic.Field(
        default=None,
        description="When it ends by itself. Without, it lasts until somebody ends it.",
        json_schema_extra=unit("seconds since the epoch"),
    )


class HostArguments(ModeArguments):
    at_once: bool = pydantic.Field(
        default=False, description="Break the leases that are on the host, instead of waiting."
    )


class ReclaimArguments(Reason):
    break_leases: bool = pydantic.Field(
        default=False, description="Reclaim it even if it is leased, and break its leases."
    )


class EditArguments(Reason):
    values: Annotated[dict[Name, Any], pydantic.Field(max_length=100)] = pydantic.Field(
        default_factory=dict,
        description="The fields to change, with their new values.",
        json_schema_extra={"values": "an object of fields and their values"},
    )
    reset: Annotated[list[Name], pydantic.Field(max_length=100)] = pydantic.Field(
        default_factory=list,
        description="The fields that are to be as configured again.",
        json_schema_extra={"values": "a list of names of fields"},
    )


class RenewArguments(Fields):
    seconds: Seconds | None = pydantic.Field(
        default=None,
        description="How long it lives on, from now. Without, as long as a worker's lease.",
        json_schema_extra=unit("seconds"),
    )


class RequestArguments(RenewArguments):
    type: Name = pydantic.Field(default="host", description="The type of resource.")
    requires: Annotated[
        dict[LabelKey, Annotated[LabelValue, pydantic.AfterValidator(_plain)]],
        pydantic.Field(max_length=100),
    ] = pydantic.Field(
        default_factory=dict,
        description="The labels that the resource must have.",
        json_schema_extra={"values": 'an object of texts, such as {"os": "debian"}'},
    )
    blueprints: Annotated[list[Name], pydantic.Field(max_length=100)] = pydantic.Field(
        default_factory=list,
        description="The only ones it may come from; all, if there are none.",
        json_schema_extra={"values": "a list of names of blueprints"},
    )
    priority: int = pydantic.Field(
        default=0, ge=-MOST_INTEGER, le=MOST_INTEGER, description="Higher goes first."
    )
    attributes: Annotated[dict[Name, Text], pydantic.Field(max_length=20)] = pydantic.Field(
        default_factory=dict,
        description="What else others should know of it.",
        json_schema_extra={"values": "an object of texts"},
    )
    until: Time | None = pydantic.Field(
        default=None,
        description="When it ends, renewed or not.",
        json_schema_extra=unit("seconds since the epoch"),
    )


Run = Callable[["DrydockService", Mapping[str, Any], str, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Action:
    """*run* gets the service, the path's parts, who asks, and the arguments.

    It answers with what to read next: the id or name of what was changed.
    """

    arguments: type[Fields]
    run: Run

    async def perform(
        self, service: DrydockService, path: Mapping[str, Any], params: Mapping[str, Any]
    ) -> Any:
        """Raises ``BadJsonRpc2`` for what can't be done as asked, with the field and the remedy."""
        given = dict(params)
        actor = readable(str(given.pop("owner", None) or "unknown"))
        arguments, problems = examine(self.arguments, given, subject="request", name="")
        if arguments is None:
            refuse("; ".join(problem.sentence() for problem in problems))
        try:
            return await self.run(service, path, actor, arguments)
        except (ValueError, DrydockError) as problem:
            refuse(str(problem))


def refuse(message: str, code: str = "invalid_params") -> NoReturn:
    raise BadJsonRpc2(readable(message), JSONRPC_CODES[code])


def readable(text: str) -> str:
    """Return a text that can be sent: with what no encoding has written out."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def missing(what: str) -> NoReturn:
    raise InvalidPathError(readable(what))


# --- what the actions do ---------------------------------------------------------------------


async def _request(
    service: DrydockService, path: Mapping[str, Any], actor: str, asked: RequestArguments
) -> int:
    unknown = [name for name in asked.blueprints if name not in service.definitions()]
    if unknown:
        known = ", ".join(service.definitions()) or "none"
        raise ValueError(f"blueprints: there is no {unknown[0]!r}; there are: {known}")
    lease = await service.people.request(
        actor,
        seconds=asked.seconds or service.leases.lease_seconds,
        type=asked.type,
        requires=asked.requires,
        blueprints=asked.blueprints,
        priority=asked.priority,
        attributes=asked.attributes,
        until=asked.until,
    )
    return lease.id


async def _release(
    service: DrydockService, path: Mapping[str, Any], actor: str, asked: Reason
) -> int:
    number = number_in(path, "leaseid")
    if await service.people.release(number, actor=actor, reason=asked.reason) is None:
        missing(f"there is no lease {number}")
    return number


async def _renew(
    service: DrydockService, path: Mapping[str, Any], actor: str, asked: RenewArguments
) -> int:
    number = number_in(path, "leaseid")
    seconds = asked.seconds or service.leases.lease_seconds
    if await service.people.renew(number, actor=actor, seconds=seconds) is None:
        if await service.store.lease(number) is None:
            missing(f"there is no lease {number}")
        raise ValueError(f"lease {number} has ended, and can't be renewed; request another")
    return number


async def _reclaim(
    service: DrydockService, path: Mapping[str, Any], actor: str, asked: ReclaimArguments
) -> int:
    number = number_in(path, "resourceid")
    found = await service.maintenance.reclaim(
        number, actor=actor, reason=asked.reason, break_leases=asked.break_leases
    )
    if found is None:
        missing(f"there is no resource {number}")
    return number


def _mode(mode: Mode) -> Run:
    async def change(
        service: DrydockService, path: Mapping[str, Any], actor: str, asked: ModeArguments | Reason
    ) -> str:
        name = str(path["blueprint"])
        if overview.named(await overview.blueprints(service), name) is None:
            missing(f"there is no blueprint {name!r}")
        until = asked.until if isinstance(asked, ModeArguments) else None
        await service.maintenance.set_mode(
            name, mode, actor=actor, reason=asked.reason, until=until
        )
        return name

    return change


async def _disable_host(
    service: DrydockService, path: Mapping[str, Any], actor: str, asked: HostArguments
) -> str:
    name = await _host(service, path)
    await service.maintenance.disable_host(
        name, actor=actor, reason=asked.reason, until=asked.until, at_once=asked.at_once
    )
    return name


async def _enable_host(
    service: DrydockService, path: Mapping[str, Any], actor: str, asked: Reason
) -> str:
    name = await _host(service, path)
    await service.maintenance.enable_host(name, actor=actor, reason=asked.reason)
    return name


async def _host(service: DrydockService, path: Mapping[str, Any]) -> str:
    name = str(path["host"])
    if overview.named(await overview.hosts(service), name) is None:
        missing(f"no blueprint lists a host {name!r}")
    return name


async def _edit(
    service: DrydockService, path: Mapping[str, Any], actor: str, asked: EditArguments
) -> str:
    name = str(path["blueprint"])
    definition = service.definitions().get(name)
    if definition is None:
        missing(f"there is no blueprint {name!r} in this master's configuration")
    both = sorted(asked.values.keys() & set(asked.reset))
    if both:
        raise ValueError(f"reset: {both[0]} is in values, too; leave it out of one of them")

    def look(overrides: Mapping[str, Override]) -> Mapping[str, Any]:
        return editable_values(service.edited(definition, overrides).definition.fields)

    def check(staying: Mapping[str, Override]) -> None:
        problems = problems_of_edit(definition, staying, asked.values)
        if problems:
            raise ValueError("; ".join(problem.sentence() for problem in problems))

    await service.maintenance.edit(
        name, asked.values, asked.reset, look=look, check=check, actor=actor, reason=asked.reason
    )
    return name


async def _destroy(
    service: DrydockService, path: Mapping[str, Any], actor: str, asked: Reason
) -> str:
    entry = await _entry(service, path)
    if entry.host is None:
        raise ValueError(
            "destroy: the provider lists no such host, so there is nothing to destroy; "
            f"reclaim resource {entry.resource.id if entry.resource else ''} to give the row up"
        )
    await service.strays.destroy(
        entry.blueprint, entry.token, entry.identity, actor=actor, reason=asked.reason
    )
    return str(path["ledgerid"])


async def _adopt(
    service: DrydockService, path: Mapping[str, Any], actor: str, asked: Reason
) -> str:
    entry = await _entry(service, path)
    await service.strays.adopt(entry.blueprint, entry.token, entry.identity)


async def _entry(service: DrydockService, path: Mapping[str, Any]) -> Entry:
    ledgerid = str(path["ledgerid"])
    found = await ledger.find(service, ledgerid)
    if found is None:
        missing(f"the ledger has no entry {ledgerid!r}")
    return found[0]


def number_in(path: Mapping[str, Any], name: str) -> int:
    """Return the id that a path leads to; nothing is found at one that no row can have."""
    number = int(path[name])
    if not 0 < number <= MOST_INTEGER:
        missing("there is no such id")
    return number


ON_LEASES: Final = {"request": Action(RequestArguments, _request)}
ON_LEASE: Final = {
    "release": Action(Reason, _release),
    "renew": Action(RenewArguments, _renew),
}
ON_RESOURCE: Final = {"reclaim": Action(ReclaimArguments, _reclaim)}
ON_BLUEPRINT: Final = {
    "pause": Action(ModeArguments, _mode(Mode.PAUSED)),
    "drain": Action(ModeArguments, _mode(Mode.DRAINING)),
    "disable": Action(ModeArguments, _mode(Mode.DISABLED)),
    "resume": Action(Reason, _mode(Mode.ENABLED)),
    "edit": Action(EditArguments, _edit),
}
ON_LEDGER: Final = {
    "destroy": Action(Reason, _destroy),
    "adopt": Action(Reason, _adopt),
}
ON_HOST: Final = {
    "disable": Action(HostArguments, _disable_host),
    "enable": Action(Reason, _enable_host),
}
