"""Instances that are reached over Systems Manager: which of them answer, and the way to each.

Its calls have a pace of their own: EC2 throttles apart from it, and a launch need not wait for what
is asked of instances.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred

from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.interfaces import Clock, Host, ReactorTime
from buildbot_drydock.latent.definition import Surroundings
from buildbot_drydock.latent.ec2.account import Account, Credentials, shared_pace
from buildbot_drydock.latent.ec2.causes import CallFailed, Cause
from buildbot_drydock.latent.ec2.keeping import MakeKeeper, Report
from buildbot_drydock.latent.ec2.pool_fields import EC2PoolFields
from buildbot_drydock.latent.ec2.requests import Pool
from buildbot_drydock.latent.hosts_fields import SSHFields
from buildbot_drydock.latent.interpreter import interpreter
from buildbot_drydock.latent.keeper import Keeper
from buildbot_drydock.latent.links import Link
from buildbot_drydock.latent.ssh_pool import keeper_rules, wanted_interpreter
from buildbot_drydock.remote.shell.host import ShellHost
from buildbot_drydock.remote.ssm.calls import CallRefused, Refusal
from buildbot_drydock.remote.ssm.invocation import Instance, Pauses
from buildbot_drydock.remote.ssm.machine import SSMMachine
from buildbot_drydock.remote.ssm.sealing import Seal

T = TypeVar("T")

CONNECTING: Final = "waiting until SSM knows it"
PAGE_SIZE: Final = 50  # the most that DescribeInstanceInformation takes
# One listing serves all who ask within that time, and for less those who are not in it.
REMEMBERED_SECONDS: Final = 5.0
FORGOTTEN_SECONDS = 1.0
_ONLINE: Final = "Online"
_HOME: Final = "."
_REMEDY: Final = (
    "see whether its image has the SSM agent, its instance profile the policy "
    "AmazonSSMManagedInstanceCore, and its network a way to the endpoints of SSM"
)

_REFUSALS: Final = {
    Cause.THROTTLED: Refusal.THROTTLED,
    Cause.ABSENT: Refusal.ABSENT,
    Cause.UNWELL: Refusal.UNKNOWN,
}


class SSMCalls:
    """Calls of Systems Manager, with the credentials and the pace of an account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return await self._account.call(operation, request, service="ssm")
        except CallFailed as failed:
            raise _refused(failed) from failed

    async def pages(self, operation: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Make a call for each page of a listing; return them all."""
        try:
            return await self._account.pages(operation, request, service="ssm")
        except CallFailed as failed:
            raise _refused(failed) from failed

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self._account.in_thread(function, *arguments)


def _refused(failed: CallFailed) -> CallRefused:
    refusal = _REFUSALS.get(failed.cause, Refusal.LASTING)
    return CallRefused(refusal, str(failed), after=getattr(failed.error, "after", 0.0))


class Registrations:
    """Which instances of a pool SSM hears of: one listing for all of them, when somebody asks."""

    def __init__(self, calls: SSMCalls, pool: Pool, clock: Clock) -> None:
        self._calls = calls
        self._pool = pool
        self._clock = clock
        self._known: dict[str, str] = {}  # PingStatus by instance id
        self._listed_at = float("-inf")
        self._listing: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    async def require(self, number: str) -> None:
        """Raise ``HostUnreachable`` unless SSM hears of an instance."""
        is_online = self._known.get(number) == _ONLINE
        good_for = REMEMBERED_SECONDS if is_online else FORGOTTEN_SECONDS
        if self._clock.seconds() > self._listed_at + good_for:
            await self._listed()
        status = self._known.get(number, "")
        if status != _ONLINE:
            reason = f"its PingStatus is {status}" if status else "its agent has not registered"
            raise HostUnreachable(
                f"{number}: {CONNECTING}: {reason}; {_REMEDY}",
                phase=CONNECTING,
                reason=reason,
                remedy=_REMEDY,
            )

    async def _listed(self) -> None:
        """Wait for the listing that is under way, or for a new one. It outlives who waits."""
        mine: Deferred[None] = Deferred()
        self._waiting.append(mine)
        if self._listing is None:
            self._listing = Deferred.fromCoroutine(self._list())
            self._listing.addBoth(self._tell)
        await mine

    def _tell(self, result: Any) -> None:
        self._listing = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(result)

    async def _list(self) -> None:
        filters = [{"Key": each["Name"], "Values": each["Values"]} for each in self._pool.filters()]
        request = {"Filters": filters, "MaxResults": PAGE_SIZE}
        try:
            pages = await self._calls.pages("DescribeInstanceInformation", request)
        except CallRefused as refused:
            raise HostUnreachable(
                f"{CONNECTING}: {refused}",
                phase=CONNECTING,
                reason=str(refused),
                lasting=refused.refusal is Refusal.LASTING,
            ) from refused
        self._known = {
            each["InstanceId"]: str(each.get("PingStatus"))
            for page in pages
            for each in page.get("InstanceInformationList", ())
        }
        self._listed_at = self._clock.seconds()


class SSMLink:
    """A ``Link`` to one instance. There is no connection: it is open while SSM hears of it."""

    def __init__(
        self,
        machine: SSMMachine,
        number: str,
        registrations: Registrations,
        *,
        directory: str,
        grace_seconds: float,
    ) -> None:
        self._machine = machine
        self._number = number
        self._registrations = registrations
        self._directory = directory
        self._grace_seconds = grace_seconds

    async def open(self) -> None:
        await self._registrations.require(self._number)

    def host(self, directory: str, marks: Mapping[str, str]) -> Host:
        return self._host(directory or _HOME, marks)

    async def end(self, mark: str, value: str) -> None:
        await self._host(self._directory, {}).end_marked(mark, value)

    async def tunnel(self, port: int) -> int:
        raise HostError(f"{self._number}: there are no tunnels over SSM; let reach be 'private'")

    async def close(self) -> None:
        """Nothing is open."""

    def _host(self, directory: str, marks: Mapping[str, str]) -> ShellHost:
        return ShellHost(self._machine, directory, marks=marks, grace_seconds=self._grace_seconds)


def keepers_over_ssm(
    fields: EC2PoolFields,
    pool: Pool,
    credentials: Credentials,
    surroundings: Surroundings,
    key_of: Callable[[str], str],
    *,
    pauses: Pauses | None = None,
) -> MakeKeeper:
    """Return what makes the keepers of a pool's instances. *key_of* is that of a token's."""
    assert fields.ssm is not None
    user = fields.ssm.user
    clock: ReactorTime = surroundings.reactor
    account = Account(
        surroundings.reactor,
        surroundings.thread_pool,
        credentials,
        shared_pace(clock, credentials, "ssm"),
        clock=clock,
        uniform=surroundings.uniform,
    )
    calls = SSMCalls(account)
    registrations = Registrations(calls, pool, clock)
    wanted = wanted_interpreter(fields)

    async def find_interpreter(host: Host) -> str:
        return await interpreter(host, wanted)

    def make(number: str, token: str, address: str, report: Report) -> Keeper:
        seal = Seal(key_of(token), os.urandom)
        instance = Instance(calls, number, clock=clock, pauses=pauses)

        def dial(lost: Callable[[HostError], None]) -> Link:
            return SSMLink(
                SSMMachine(calls, instance, seal, user, lost=lost),
                number,
                registrations,
                directory=fields.directory,
                grace_seconds=fields.stop_grace,
            )

        return Keeper(
            number,
            address,
            dial,
            keeper_rules(fields, SSHFields(), surroundings.installation),
            find_interpreter=find_interpreter,
            clock=clock,
            uniform=surroundings.uniform,
            changed=surroundings.wake,
            report=report,
        )

    return make
