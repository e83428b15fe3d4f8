"""Hosts that exist only in memory, and misbehave as a script says.

For demonstrations, for tests and for the simulator. With the default script nothing ever goes
wrong. The hosts are those of a ``SyntheticCloud``; a ``SyntheticProvider`` is one master's way in.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import pydantic

from buildbot_drydock.errors import CommandTimedOut, HostError, NoCapacity
from buildbot_drydock.interfaces import Completed, HostSpec
from buildbot_drydock.latent.definition import Definition, Surroundings
from buildbot_drydock.latent.parking_fields import ParkingFields, with_parking
from buildbot_drydock.latent.problems import Conflict, unit
from buildbot_drydock.latent.synthetic_cloud import (
    Answer,
    Failure,
    Hook,
    Machine,
    Moment,
    Process,
    Script,
    Stage,
    SyntheticCloud,
)
from buildbot_drydock.model import Blueprint, BlueprintState, Lease, Observed, Resource

__all__ = [
    "Answer",
    "Failure",
    "Hook",
    "Machine",
    "Moment",
    "Process",
    "Script",
    "Stage",
    "SyntheticCloud",
    "SyntheticHost",
    "SyntheticPool",
    "SyntheticProvider",
]

T = TypeVar("T")


class SyntheticProvider:
    """The hosts of one blueprint in a synthetic cloud."""

    def __init__(self, cloud: SyntheticCloud, blueprint: str) -> None:
        self._cloud = cloud
        self._blueprint = blueprint

    async def inventory(self) -> Sequence[Observed]:
        return await self._cloud.call("inventory", "", lambda: self._cloud.listing(self._blueprint))

    async def create(self, token: str, spec: HostSpec) -> None:
        await self._cloud.call(
            "create", token, lambda: self._cloud.create(self._blueprint, token, spec)
        )

    async def destroy(self, token: str, identity: str = "") -> None:
        await self._cloud.call(
            "destroy", token, lambda: self._cloud.destroy(self._blueprint, token, identity)
        )

    async def park(self, token: str, identity: str) -> None:
        await self._cloud.call("park", token, lambda: self._cloud.park(token, identity))

    async def wake(self, token: str, identity: str) -> None:
        await self._cloud.call("wake", token, lambda: self._cloud.wake(token, identity))

    def expected_price(self) -> float | None:
        return self._cloud.script.hourly_price

    def connect(self, resource: Resource) -> SyntheticHost:
        return SyntheticHost(self._cloud, resource.token, resource.identity)

    async def prepare(self, resource: Resource, lease: Lease) -> None:
        """Do nothing but what the script makes of it; the host must answer."""
        await self._cloud.call(
            "prepare",
            resource.token,
            lambda: self._cloud.reach(resource.token, resource.identity),
        )

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        await self._cloud.call("vacate", resource.token, lambda: self._vacate(resource, lease))

    def _vacate(self, resource: Resource, lease: Lease) -> None:
        machines = self._cloud.named(resource.token, resource.identity)
        if any(not machine.torn_down for machine in machines):
            machine = self._cloud.reach(resource.token, resource.identity)
            machine.stop(lease.tag)


class SyntheticHost:
    """One host of a synthetic cloud: nothing runs, but what was started is remembered."""

    def __init__(self, cloud: SyntheticCloud, token: str, identity: str = "") -> None:
        self._cloud = cloud
        self._token = token
        self._identity = identity

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        idle_timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        answer = await self._on_machine("run", lambda machine: self._cloud.answer(argv))
        limit = timeout if idle_timeout is None else min(timeout, idle_timeout)
        await self._cloud.wait(min(answer.seconds, limit))
        if answer.seconds > limit:
            which = "timeout" if limit == timeout else "idle_timeout"
            raise CommandTimedOut(
                f"host {self._token}: {shlex.join(argv)!r} ran into its {which} of {limit:g} s; "
                f"its last output was {answer.stdout[-200:]!r}"
            )
        if answer.error is not None:
            raise answer.error(f"host {self._token}: the script lets {shlex.join(argv)!r} fail")
        return Completed(exit_code=answer.exit_code, stdout=answer.stdout, stderr=answer.stderr)

    async def start(
        self,
        argv: Sequence[str],
        *,
        tag: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        log: str | None = None,
        file: tuple[str, bytes] | None = None,
    ) -> None:
        process = Process(argv=tuple(argv), env=dict(env or {}), cwd=cwd, log=log)

        def effect(machine: Machine) -> None:
            if machine.start(tag, process) and file is not None:
                machine.files.update([file])

        await self._on_machine("start", effect)

    async def running(self, tag: str) -> bool:
        return await self._on_machine("running", lambda machine: tag in machine.processes)

    async def stop(self, tag: str) -> None:
        await self._on_machine("stop", lambda machine: machine.stop(tag))

    async def read(self, path: str) -> bytes:
        return await self._on_machine("read", lambda machine: self._content(machine, path))

    async def write(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        await self._on_machine("write", lambda machine: machine.files.update({path: content}))

    async def exists(self, path: str) -> bool:
        return await self._on_machine("exists", lambda machine: bool(_at_or_under(machine, path)))

    async def remove(self, path: str) -> None:
        def effect(machine: Machine) -> None:
            for each in _at_or_under(machine, path):
                del machine.files[each]

        await self._on_machine("remove", effect)

    def _content(self, machine: Machine, path: str) -> bytes:
        try:
            return machine.files[path]
        except KeyError:
            raise HostError(f"host {self._token}: there is no file {path!r}") from None

    async def _on_machine(self, verb: str, effect: Callable[[Machine], T]) -> T:
        return await self._cloud.call(
            verb, self._token, lambda: effect(self._cloud.reach(self._token, self._identity))
        )


def _at_or_under(machine: Machine, path: str) -> list[str]:
    """Return the files that *path* names: itself, or all in it if it is a directory."""
    inside = path.rstrip("/") + "/"
    return [each for each in machine.files if each == path or each.startswith(inside)]


class SyntheticPoolFields(ParkingFields):
    """The fields of ``SyntheticPool``: those of every blueprint, and the script."""

    boot_seconds: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long a host takes to become ready.",
        json_schema_extra=unit("seconds"),
    )
    capacity: int = pydantic.Field(
        default=1_000,
        ge=0,
        description="How many hosts there are to be had; asking for more is answered with no "
        "capacity.",
        json_schema_extra=unit("hosts"),
    )
    listing_seconds: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long listing the hosts takes.",
        json_schema_extra=unit("seconds"),
    )
    unlisted_seconds: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long a new host is really missing from listings; listing_delay is what "
        "Drydock is told about that.",
        json_schema_extra=unit("seconds"),
    )
    prepare_seconds: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long preparing a host for a lease takes. 0 is no preparation.",
        json_schema_extra=unit("seconds"),
    )
    teardown_seconds: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long a host that is destroyed is still there.",
        json_schema_extra=unit("seconds"),
    )
    lifetime_seconds: float | None = pydantic.Field(
        default=None,
        gt=0,
        description="How long after its creation a host vanishes by itself. None is never.",
        json_schema_extra=unit("seconds"),
    )
    notice_seconds: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long before it vanishes by itself the end of a host is announced. 0 is "
        "not at all.",
        json_schema_extra=unit("seconds"),
    )
    hourly_price: float | None = pydantic.Field(
        default=None,
        ge=0,
        description="What an hour of a host costs. None is nobody knows.",
        json_schema_extra=unit("an hour"),
    )
    park_seconds: float = pydantic.Field(
        default=0.0,
        ge=0,
        description="How long a host that is parked takes to stop.",
        json_schema_extra=unit("seconds"),
    )
    fail_wakes: int = pydantic.Field(
        default=0,
        ge=0,
        description="How many of the first attempts to wake a host find no capacity.",
        json_schema_extra=unit("calls"),
    )
    fail_creates: int = pydantic.Field(
        default=0,
        ge=0,
        description="How many of the first attempts to create a host find no capacity.",
        json_schema_extra=unit("calls"),
    )
    lose_create_replies: int = pydantic.Field(
        default=0,
        ge=0,
        description="How many of the first hosts are created by a call that then fails.",
        json_schema_extra=unit("calls"),
    )
    fail_destroys: int = pydantic.Field(
        default=0,
        ge=0,
        description="How many of the first attempts to destroy a host fail.",
        json_schema_extra=unit("calls"),
    )
    fail_listings: int = pydantic.Field(
        default=0,
        ge=0,
        description="How many of the first listings fail.",
        json_schema_extra=unit("calls"),
    )
    hanging_boots: int = pydantic.Field(
        default=0,
        ge=0,
        description="How many of the first hosts never finish starting.",
        json_schema_extra=unit("hosts"),
    )
    failing_boots: int = pydantic.Field(
        default=0,
        ge=0,
        description="How many of the hosts after those report that they failed to start.",
        json_schema_extra=unit("hosts"),
    )
    exit_codes: dict[str, int] = pydantic.Field(
        default_factory=dict,
        description="What commands exit with, by a pattern of the command line; '*' stands for "
        "anything. A command that no pattern matches exits with 0.",
        json_schema_extra={
            "remedy": "give exit_codes a dictionary of whole numbers, such as {'git fetch *': 128}"
        },
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if self.notice_seconds and self.lifetime_seconds is None:
            yield Conflict(
                ("notice_seconds", "lifetime_seconds"),
                "hosts that never vanish by themselves are given no notice of it",
                "set lifetime_seconds, or leave notice_seconds out",
            )

        for field, limit in self.cost_limits().items():
            yield from self._price_conflicts(field, limit)

    def _price_conflicts(self, field: str, most: float) -> Iterator[Conflict]:
        if self.hourly_price is None:
            yield Conflict(
                (field, "hourly_price"),
                "nobody knows what a host costs",
                "set hourly_price, too",
            )
        elif self.hourly_price > most:
            yield Conflict(
                (field, "hourly_price"),
                f"an hour of one host costs {self.hourly_price:g}, more than {most:g}",
                f"raise {field} to {self.hourly_price:g} or more, or lower hourly_price",
            )

    def script(self) -> Script:
        return Script(
            boot_seconds=self.boot_seconds,
            capacity=self.capacity,
            listing_delay_seconds=self.unlisted_seconds,
            teardown_seconds=self.teardown_seconds,
            lifetime_seconds=self.lifetime_seconds,
            notice_seconds=self.notice_seconds,
            hourly_price=self.hourly_price,
            park_seconds=self.park_seconds,
            hanging_boots=self.hanging_boots,
            failing_boots=self.failing_boots,
            latency_seconds={"inventory": self.listing_seconds, "prepare": self.prepare_seconds},
            failures=(
                Failure(verb="create", error=NoCapacity, times=self.fail_creates),
                Failure(verb="wake", error=NoCapacity, times=self.fail_wakes),
                Failure(verb="create", times=self.lose_create_replies, stage=Stage.AFTER),
                Failure(verb="destroy", times=self.fail_destroys),
                Failure(verb="inventory", times=self.fail_listings),
            ),
            answers=tuple(
                Answer(pattern=pattern, exit_code=code) for pattern, code in self.exit_codes.items()
            ),
        )


# The clouds of this process: a reconfig that changes a blueprint finds its hosts again.
_clouds: Final[dict[tuple[int, str, str], SyntheticCloud]] = {}


class SyntheticPool(Definition):
    """Hosts that exist only in the memory of the master, for demonstrations and tests.

    They are gone when the master ends. Nothing runs on them: a worker started there never connects.
    """

    kind = "synthetic"
    fields_class = SyntheticPoolFields
    provider_class = SyntheticProvider

    def blueprint(self, now: float, state: BlueprintState | None = None) -> Blueprint:
        fields = self._fields_here
        blueprint = with_parking(super().blueprint(now, state), fields)
        return replace(blueprint, prepares=fields.prepare_seconds > 0)

    def provider(self, surroundings: Surroundings) -> SyntheticProvider:
        script = self._fields_here.script()
        reactor = surroundings.reactor
        fresh = SyntheticCloud(reactor, reactor=reactor)
        cloud = _clouds.setdefault((id(reactor), surroundings.basedir, self.name), fresh)
        cloud.script = script
        return SyntheticProvider(cloud, self.name)

    @property
    def _fields_here(self) -> SyntheticPoolFields:
        fields = self.fields
        assert isinstance(fields, SyntheticPoolFields)
        return fields
