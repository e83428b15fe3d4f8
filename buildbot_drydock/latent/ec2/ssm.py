"""Instances that are reached over Systems Manager: which of them answer, and the way to each.

Its calls have a pace of their own: EC2 throttles apart from it, and a launch need not wait for what
is asked of instances.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.interfaces import Host, ReactorTime
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
from buildbot_drydock.latent.ssh_pool import keeper_rules
from buildbot_drydock.latent.worker_host import wanted_interpreter
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
WATCH_SECONDS = 60.0  # between two listings while there are instances
# How often each instance is looked at, if nothing else is asked for: it takes some calls.
PROBE_SECONDS: Final = 900.0
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


Lost: TypeAlias = Callable[[HostError], object]


class Registrations:
    """Which instances of a pool SSM hears of: one listing for all of them.

    It is made when somebody asks, and now and then while any instance is watched, so that not each
    of them has to be asked how it is.
    """

    log = Logger()

    def __init__(self, calls: SSMCalls, pool: Pool, clock: ReactorTime) -> None:
        self._calls = calls
        self._pool = pool
        self._clock = clock
        self._known: dict[str, str] = {}  # PingStatus by instance id
        self._listed_at = float("-inf")
        self._listing: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._watched: dict[str, Lost] = {}  # by instance id
        self._timer: Any = None

    async def require(self, number: str) -> None:
        """Raise ``HostUnreachable`` unless SSM hears of an instance."""
        is_online = self._known.get(number) == _ONLINE
        good_for = REMEMBERED_SECONDS if is_online else FORGOTTEN_SECONDS
        if self._clock.seconds() > self._listed_at + good_for:
            await self._listed()
        if self._known.get(number) != _ONLINE:
            raise self._not_online(number)

    def watch(self, number: str, lost: Lost) -> None:
        """Have *lost* called, once, when SSM does not hear of an instance any more."""
        self._watched[number] = lost
        if self._timer is None:
            self._timer = self._clock.callLater(WATCH_SECONDS, self._look)

    def forget(self, number: str) -> None:
        """Watch an instance no more."""
        self._watched.pop(number, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        looking = Deferred.fromCoroutine(self._look_at_all())
        looking.addErrback(lambda failure: self.log.failure("watching instances", failure))

    async def _look_at_all(self) -> None:
        try:
            await self._listed()
        except HostUnreachable as error:  # then nothing is known of any of them
            self.log.debug("no listing of SSM: {error}", error=error)
        else:
            for number in [each for each in self._watched if self._known.get(each) != _ONLINE]:
                self._watched.pop(number)(self._not_online(number))
        if self._watched and self._timer is None:
            self._timer = self._clock.callLater(WATCH_SECONDS, self._look)

    def _not_online(self, number: str) -> HostUnreachable:
        status = self._known.get(number, "")
        reason = f"its PingStatus is {status}" if status else "its agent has not registered"
        return HostUnreachable(
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
            text = f"{CONNECTING}: {refused}"
            raise HostUnreachable(text, phase=CONNECTING, reason=str(refused)) from refused
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
        lost: Lost,
        *,
        directory: str,
        grace_seconds: float,
    ) -> None:
        self._machine = machine
        self._number = number
        self._registrations = registrations
        self._lost = lost
        self._directory = directory
        self._grace_seconds = grace_seconds

    async def open(self) -> None:
        await self._registrations.require(self._number)
        self._registrations.watch(self._number, self._lost)

    def host(self, directory: str, marks: Mapping[str, str]) -> Host:
        return self._host(directory or _HOME, marks)

    async def end(self, mark: str, value: str) -> None:
        await self._host(self._directory, {}).end_marked(mark, value)

    async def tunnel(self, port: int) -> int:
        raise HostError(f"{self._number}: there are no tunnels over SSM; let reach be 'private'")

    async def close(self) -> None:
        self._registrations.forget(self._number)

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
    rules = keeper_rules(fields, SSHFields(), surroundings.installation)
    if "probe_interval" not in fields.model_fields_set:
        rules = replace(rules, probe_interval=PROBE_SECONDS)

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
                lost,
                directory=fields.directory,
                grace_seconds=fields.stop_grace,
            )

        return Keeper(
            number,
            address,
            dial,
            rules,
            find_interpreter=find_interpreter,
            clock=clock,
            uniform=surroundings.uniform,
            changed=surroundings.wake,
            report=report,
        )

    return make
