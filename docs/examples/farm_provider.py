"""The provider that docs/writing-a-provider.md builds up, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pydantic
from farm import Farm, FarmError, Machine, NoMachineLeft, NotAllowed
from twisted.internet.threads import deferToThreadPool

from buildbot_drydock.errors import Misconfigured, NoCapacity, RetryLater
from buildbot_drydock.interfaces import Host, HostSpec
from buildbot_drydock.latent.definition import CommonFields, Definition, Surroundings
from buildbot_drydock.model import Health, Lease, Observed, Resource
from buildbot_drydock.remote.local import LocalHost
from buildbot_drydock.remote.processes import RESOURCE_MARK

T = TypeVar("T")


@contextmanager
def translated() -> Iterator[None]:
    """Say what to do about the farm's errors. All else is a bug, and is logged as one."""
    try:
        yield
    except NoMachineLeft as error:
        raise NoCapacity(str(error)) from error
    except NotAllowed as error:
        raise Misconfigured(f"{error}; give the blueprint the path of a farm") from error
    except FarmError as error:
        raise RetryLater(str(error)) from error


def observed(machine: Machine) -> Observed:
    """Say what is known of a machine."""
    is_wanted_back = machine.wanted_back_at is not None
    return Observed(
        token=machine.name,
        health=Health.READY if machine.is_up else Health.STARTING,
        identity=machine.serial,
        created_at=machine.started_at,
        address=machine.disk,
        ends_at=machine.wanted_back_at,
        end_reason="the farm wants it back" if is_wanted_back else "",
        hourly_price=machine.price,
    )


class FarmProvider:
    """The machines of a farm."""

    def __init__(self, surroundings: Surroundings, farm: Farm) -> None:
        self._reactor = surroundings.reactor
        self._threads = surroundings.thread_pool
        self._farm = farm

    async def inventory(self) -> Sequence[Observed]:
        return [observed(each) for each in await self._in_thread(self._farm.machines)]

    async def create(self, token: str, spec: HostSpec) -> None:
        await self._in_thread(self._farm.start, token)

    async def destroy(self, token: str, identity: str = "") -> None:
        for machine in await self._in_thread(self._farm.machines):
            if machine.name == token and identity in ("", machine.serial):
                await self._in_thread(self._farm.stop, machine.serial)

    def connect(self, resource: Resource) -> Host:
        marks = {RESOURCE_MARK: resource.address}
        return LocalHost(self._reactor, self._threads, resource.address, marks=marks)

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        await self.connect(resource).stop(lease.tag)

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        with translated():
            return await deferToThreadPool(self._reactor, self._threads, function, *arguments)


class FarmFields(CommonFields):
    """The fields of ``FarmPool``."""

    path: str = pydantic.Field(
        min_length=1,
        description="Where the farm is.",
        json_schema_extra={"remedy": "give path the directory of a farm, such as '/srv/farm'"},
    )
    capacity: int = pydantic.Field(
        default=100,
        ge=0,
        description="How many machines the farm has.",
        json_schema_extra={"unit": "machines"},
    )


class FarmPool(Definition):
    """Machines of a farm."""

    kind = "farm"
    fields_class = FarmFields
    provider_class = FarmProvider

    def provider(self, surroundings: Surroundings) -> FarmProvider:
        fields = self.fields
        assert isinstance(fields, FarmFields)
        return FarmProvider(surroundings, Farm(fields.path, fields.capacity))
