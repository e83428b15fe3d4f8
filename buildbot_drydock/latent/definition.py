"""What a user writes about a blueprint in master.cfg, and what becomes of it.

A kind of blueprint is a subclass of ``Definition``: its own fields, its provider, its name. Third
parties write theirs the same way, and register it as an entry point (see ``kinds``).
"""

from __future__ import annotations

import copy
import hashlib
import math
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import pydantic

from buildbot_drydock.abilities import Prepares, Vacates
from buildbot_drydock.authorization import KINDS_OF_SUBJECT
from buildbot_drydock.interfaces import Provider
from buildbot_drydock.latent.problems import (
    EDITABLE,
    Conflict,
    Declaration,
    Fields,
    Problem,
    unit,
)
from buildbot_drydock.latent.schedule import Entry, Schedule, in_force, next_change
from buildbot_drydock.latent.written import sequence
from buildbot_drydock.model import Blueprint, BlueprintState, ListedHost, Placement, Resource

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorCore, IReactorTime
    from twisted.python.threadpool import ThreadPool

    from buildbot_drydock.events import Event

__all__ = [
    "CommonFields",
    "Conflict",
    "Definition",
    "PricedFields",
    "Problem",
    "Surroundings",
]

MOST_RESOURCES: Final = 100_000  # of one blueprint; more is a mistake
MOST_TIMES: Final = 100_000

_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:-]{0,62}")


def label_text(value: object) -> str:
    """Return a label's value as it is compared: a text; ``True`` is ``"true"``.

    Raises ``ValueError`` for what is neither text, whole number nor truth value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise ValueError("a label's value is a text, a whole number, True or False")


def label_key(value: object) -> str:
    """Return a label's name. Raises ``ValueError`` if it can't be one."""
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise ValueError("a label's name has up to 63 letters, digits and any of '_ . / : -'")
    return value


def _pattern(value: str) -> str:
    known = ", ".join(f"'{kind}'" for kind in KINDS_OF_SUBJECT)
    if value != "*" and not value.startswith(KINDS_OF_SUBJECT):
        raise ValueError(f"it begins with none of {known}, and is not '*'")
    if value in KINDS_OF_SUBJECT:
        raise ValueError("it names nobody")
    return value


def _entry(value: object) -> object:
    return value.arguments if isinstance(value, Schedule) else value


LabelKey = Annotated[str, pydantic.BeforeValidator(label_key)]
LabelValue = Annotated[str, pydantic.BeforeValidator(label_text)]
Offers = Annotated[
    tuple[LabelValue, ...], pydantic.BeforeValidator(sequence), pydantic.Field(min_length=1)
]
Patterns = Annotated[
    tuple[Annotated[str, pydantic.AfterValidator(_pattern)], ...],
    pydantic.BeforeValidator(sequence),
]
Entries = Annotated[
    tuple[Annotated[Entry, pydantic.BeforeValidator(_entry)], ...],
    pydantic.BeforeValidator(sequence),
]


class CommonFields(Fields):
    """The fields that blueprints of every kind have."""

    limit: int = pydantic.Field(
        default=1,
        ge=1,
        le=MOST_RESOURCES,
        description="How many resources may live at once.",
        json_schema_extra=unit("resources") | EDITABLE,
    )
    leases_per_resource: int = pydantic.Field(
        default=1,
        ge=1,
        description="How many leases a resource carries at once.",
        json_schema_extra=unit("leases"),
    )
    labels: dict[LabelKey, LabelValue] = pydantic.Field(
        default_factory=dict,
        description="What its resources have to offer; a lease that requires other values never "
        "gets one.",
        json_schema_extra={
            "values": "a dictionary of texts, whole numbers, True or False",
            "remedy": "give labels a dictionary of texts, whole numbers, True or False, such as "
            "{'os': 'debian'}",
        },
    )
    choices: dict[LabelKey, Offers] = pydantic.Field(
        default_factory=dict,
        description="Labels that are settled only when a resource is built: it gets the value "
        "that the lease it is built for requires, or the first.",
        json_schema_extra={
            "values": "a dictionary of lists",
            "remedy": "give choices a dictionary of lists, such as "
            "{'image': ['bookworm', 'trixie']}",
        },
    )
    placement: Literal["pack", "spread"] = pydantic.Field(
        default="pack",
        description="Which resource a lease gets: 'pack' takes the fullest, so that others become "
        "idle, 'spread' the emptiest.",
        json_schema_extra=EDITABLE,
    )
    min_ready: int = pydantic.Field(
        default=0,
        ge=0,
        le=MOST_RESOURCES,
        description="How many idle resources are kept warm, for leases to come.",
        json_schema_extra=unit("resources") | EDITABLE,
    )
    idle_timeout: float | None = pydantic.Field(
        default=600.0,
        ge=0,
        description="How long an idle resource is kept. 0 releases it on last use, None keeps it.",
        json_schema_extra=unit("seconds") | EDITABLE,
    )
    max_uses: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=MOST_TIMES,
        description="How many leases a resource serves in its life. None is no limit.",
        json_schema_extra=unit("leases") | EDITABLE,
    )
    max_age: float | None = pydantic.Field(
        default=None,
        gt=0,
        description="How long after its request a resource takes further leases. None is no limit.",
        json_schema_extra=unit("seconds") | EDITABLE,
    )
    boot_timeout: float = pydantic.Field(
        default=900.0,
        gt=0,
        description="How long a host may take to become ready, before it counts as failed.",
        json_schema_extra=unit("seconds"),
    )
    listing_delay: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long a new host may be missing from what the provider lists.",
        json_schema_extra=unit("seconds"),
    )
    poll_interval: float = pydantic.Field(
        default=5.0,
        gt=0,
        description="How often the provider is asked while something is expected to change.",
        json_schema_extra=unit("seconds"),
    )
    sweep_interval: float = pydantic.Field(
        default=60.0,
        gt=0,
        description="How often the provider is asked otherwise.",
        json_schema_extra=unit("seconds"),
    )
    failure_budget: int = pydantic.Field(
        default=5,
        ge=1,
        le=MOST_TIMES,
        description="How many launches may fail in a row, before only one host at a time is tried.",
        json_schema_extra=unit("launches") | EDITABLE,
    )
    schedule: Entries = pydantic.Field(
        default=(),
        description="How min_ready and limit change by time of day: a list of Schedule.",
        json_schema_extra={
            "values": "a list of Schedule",
            "remedy": "give schedule a list such as "
            "[Schedule('0 8 * * mon-fri', min_ready=5), Schedule('0 19 * * *', min_ready=0)]",
        },
    )

    allow: Patterns | None = pydantic.Field(
        default=None,
        description="Who may use it, of builders, projects and people: patterns such as "
        "'builder/release-*', 'project/linux' or 'person/*@example.org'. None is everybody, unless "
        "it needs approval.",
        json_schema_extra={
            "values": "a list of patterns, or None",
            "remedy": "give allow a list such as ['builder/release-*', 'project/linux', "
            "'person/*@example.org'], or None for everybody",
        },
    )
    needs_approval: bool = pydantic.Field(
        default=False,
        description="Whether an administrator has to approve its use, once, for each builder or "
        "person that is not in allow.",
    )
    approvers: str = pydantic.Field(
        default="",
        description="Who approves that, in words, for those who wait to read. If empty, that is "
        "an administrator.",
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if self.approvers and not self.needs_approval:
            yield Conflict(
                ("approvers", "needs_approval"),
                "nobody has to approve anything",
                "set needs_approval=True, or remove approvers",
            )
        if self.min_ready > self.limit:
            yield Conflict(
                ("min_ready", "limit"),
                f"{self.min_ready} resources can't be kept warm with a limit of {self.limit}",
                f"lower min_ready to {self.limit}, or raise limit to {self.min_ready}",
            )
        if self.poll_interval > self.sweep_interval:
            yield Conflict(
                ("poll_interval", "sweep_interval"),
                f"asking every {self.poll_interval:g} s while something changes is less often "
                f"than every {self.sweep_interval:g} s otherwise",
                f"lower poll_interval, or raise sweep_interval to {self.poll_interval:g}",
            )
        if self.listing_delay >= self.boot_timeout:
            yield Conflict(
                ("listing_delay", "boot_timeout"),
                f"a host would fail to boot in {self.boot_timeout:g} s before it is listed",
                f"raise boot_timeout above {self.listing_delay:g}, or lower listing_delay",
            )
        for key in sorted(self.labels.keys() & self.choices.keys()):
            yield Conflict(
                ("choices", "labels"),
                f"{key!r} is in labels, too",
                f"remove {key!r} from labels or from choices",
            )
        yield from self._schedule_conflicts()

    def conflicts_of_edits(self) -> Iterator[Conflict]:
        """Yield what may be wrong between fields after some were edited, without any I/O.

        Override where ``conflicts`` looks at files.
        """
        yield from self.conflicts()

    def _schedule_conflicts(self) -> Iterator[Conflict]:
        for number, entry in enumerate(self.schedule):
            if entry.min_ready is None and entry.limit is None:
                yield Conflict(
                    ("schedule",),
                    f"schedule[{number}] ({entry.cron!r}) changes nothing",
                    "give it min_ready, limit or both",
                )
            min_ready, limit = self.scheduled(entry)
            if min_ready > limit and self.min_ready <= self.limit:
                yield Conflict(
                    ("schedule", "min_ready", "limit"),
                    f"schedule[{number}] ({entry.cron!r}) keeps {min_ready} resources warm with a "
                    f"limit of {limit}",
                    "lower its min_ready, or raise its limit",
                )

    def scheduled(self, entry: Entry | None) -> tuple[int, int]:
        """Return ``min_ready`` and ``limit`` while a schedule's entry is in force."""
        if entry is None:
            return self.min_ready, self.limit
        min_ready = self.min_ready if entry.min_ready is None else entry.min_ready
        return min_ready, self.limit if entry.limit is None else entry.limit


class PricedFields(CommonFields):
    """The fields that blueprints have besides whose hosts cost money."""

    max_hourly_cost: float | None = pydantic.Field(
        default=None,
        gt=0,
        description="What all its resources may cost an hour together, in the currency of their "
        "prices. None is no limit.",
        json_schema_extra=unit("an hour") | EDITABLE,
    )
    max_daily_cost: float | None = pydantic.Field(
        default=None,
        gt=0,
        description="What its resources may cost in 24 hours together, each that runs counted for "
        "an hour at least; then no more are launched. None is no limit.",
        json_schema_extra=unit("a day") | EDITABLE,
    )
    minimum_billing: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long a resource is paid for in any case. Within this time from its request "
        "it is not let go for being idle.",
        json_schema_extra=unit("seconds"),
    )

    def cost_limits(self) -> dict[str, float]:
        """Return what its resources may cost, by field; for either, prices must be known."""
        limits = {"max_hourly_cost": self.max_hourly_cost, "max_daily_cost": self.max_daily_cost}
        return {field: limit for field, limit in limits.items() if limit is not None}


async def no_resources(blueprint: str) -> Sequence[Resource]:
    return ()


@dataclass(frozen=True)
class Surroundings:
    """What a provider may use of the process that it lives in."""

    reactor: IReactorCore | IReactorTime | Any
    basedir: str  # the master's directory
    thread_pool: ThreadPool  # for what blocks
    uniform: Callable[[], float]  # random, in [0, 1)
    # Names this Drydock, and all masters that share its database, on hosts and in clouds.
    installation: str = ""
    # Returns 32 bytes for a purpose, the same on all masters of the installation, and known to
    # nobody else.
    derive: Callable[[str], bytes] = lambda purpose: hashlib.sha256(purpose.encode()).digest()
    # Asks for a turn, as something has changed that the provider's next listing shows.
    wake: Callable[[], None] = lambda: None
    # Stores an event about a blueprint, by its name, in the background.
    report: Callable[[str, Event], None] = lambda blueprint, event: None
    # Returns the resources of a blueprint, by its name, that are not destroyed, as the rows are now.
    resources: Callable[[str], Awaitable[Sequence[Resource]]] = no_resources


class Definition(Declaration):
    """A blueprint as configured. Subclasses are the kinds."""

    subject = "blueprint"
    longest_name = 64  # it becomes part of slot lock keys
    kind: ClassVar[str]  # as in tables, events and documents
    fields_class: ClassVar[type[CommonFields]] = CommonFields
    provider_class: ClassVar[type]
    provides: ClassVar[str] = "host"  # the type of resource, as leases ask for it
    has_host: ClassVar[bool] = True  # something can run on its resources
    _in_force: tuple[float, float, Entry | None] = (0.0, 0.0, None)  # from, until, which

    @property
    def fields(self) -> CommonFields:
        """The validated fields; there are none if there are problems."""
        fields = super().fields
        assert isinstance(fields, CommonFields)
        return fields

    def blueprint(self, now: float, state: BlueprintState | None = None) -> Blueprint:
        """Return what the planner needs to know, as the schedule has it at *now*."""
        fields = self.fields
        min_ready, limit = fields.scheduled(self._entry_in_force(now))
        priced = fields if isinstance(fields, PricedFields) else None
        return Blueprint(
            name=self.name,
            kind=self.kind,
            provides=self.provides,
            limit=limit,
            leases_per_resource=fields.leases_per_resource,
            labels=fields.labels,
            choices=fields.choices,
            placement=Placement(fields.placement),
            min_ready=min_ready,
            idle_timeout=fields.idle_timeout,
            max_uses=fields.max_uses,
            max_age=fields.max_age,
            boot_timeout=fields.boot_timeout,
            listing_delay=fields.listing_delay,
            poll_interval=fields.poll_interval,
            sweep_interval=fields.sweep_interval,
            failure_budget=fields.failure_budget,
            max_hourly_cost=None if priced is None else priced.max_hourly_cost,
            max_daily_cost=None if priced is None else priced.max_daily_cost,
            minimum_billing=0.0 if priced is None else priced.minimum_billing,
            allow=fields.allow,
            needs_approval=fields.needs_approval,
            approvers=fields.approvers,
            prepares=issubclass(self.provider_class, Prepares),
            vacates=issubclass(self.provider_class, Vacates),
            state=BlueprintState(name=self.name) if state is None else state,
        )

    def with_hosts(self, blueprint: Blueprint, hosts: Sequence[ListedHost]) -> Blueprint:
        """Return the blueprint with what its provider lists at the moment, if it lists hosts."""
        return replace(blueprint, hosts=tuple(hosts))

    def with_fields(self, fields: CommonFields) -> Definition:
        """Return the same blueprint with other fields, which were validated before."""
        other = copy.copy(self)
        other._fields, other._in_force = fields, (0.0, 0.0, None)
        return other

    def _entry_in_force(self, now: float) -> Entry | None:
        """Work out cron times only when they have passed: this is asked for in each turn."""
        since, until, entry = self._in_force
        if not since <= now < until:
            schedule = self.fields.schedule
            change = next_change(schedule, now)
            entry = in_force(schedule, now)
            self._in_force = (now, math.inf if change is None else change, entry)
        return entry

    def provider(self, surroundings: Surroundings) -> Provider:
        """Return what builds and destroys the hosts. Called when the service starts."""
        raise NotImplementedError
