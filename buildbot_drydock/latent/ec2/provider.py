"""The provider of EC2 instances: the four verbs, and those that park."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from buildbot_drydock.errors import HostError, HostUnreachable, RetryLater
from buildbot_drydock.events import Event
from buildbot_drydock.interfaces import Clock, Host, HostSpec
from buildbot_drydock.latent.ec2.candidates import Candidate, Market
from buildbot_drydock.latent.ec2.causes import CallFailed, Cause
from buildbot_drydock.latent.ec2.images import Calls, Images
from buildbot_drydock.latent.ec2.interruptions import (
    Notice,
    Notices,
    of_requests,
    request_for_notices,
)
from buildbot_drydock.latent.ec2.keeping import (
    Expectations,
    Kept,
    MakeKeeper,
    judged,
    seen_by_ec2,
)
from buildbot_drydock.latent.ec2.launch_templates import LaunchTemplates
from buildbot_drydock.latent.ec2.launching import Launcher
from buildbot_drydock.latent.ec2.listing import Instance, instances, request_for_all
from buildbot_drydock.latent.ec2.parking import STOPPED, Parking, is_parkable
from buildbot_drydock.latent.ec2.prices import Prices
from buildbot_drydock.latent.ec2.requests import Pool
from buildbot_drydock.latent.ec2.scheduled_events import ScheduledEvents
from buildbot_drydock.latent.ec2.userdata import SIGN_OF_LIFE
from buildbot_drydock.model import Health, Lease, Observed, Resource

_SIGN_SECONDS: Final = 30.0  # a limit, for touching a file
_CONSOLE_LINES: Final = 15
_CONSOLE_CHARACTERS: Final = 1500
_MOST_STATUSES: Final = 100  # ids in one DescribeInstanceStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a pool goes by. Times are in seconds."""

    pool: Pool
    expected: Expectations
    sign_interval: float | None  # between two signs of life; None without a dead-man switch
    keep_build_directories: bool = True


class EC2Provider:
    """Launches and terminates instances. No verb waits for an instance."""

    log = Logger()

    def __init__(
        self,
        calls: Calls,
        launcher: Launcher,
        images: Images,
        rules: Rules,
        candidates: Callable[[int], Sequence[Candidate]],
        make_keeper: MakeKeeper,
        *,
        parking: Parking,
        prices: Prices,
        notices: Notices,
        scheduled: ScheduledEvents,
        templates: LaunchTemplates | None,
        clock: Clock,
        report: Callable[[Event], None] = lambda event: None,
        wake: Callable[[], None] = lambda: None,
        closing: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """*candidates* are those for a place in the pool; *closing* closes what keepers share.

        *templates* are those that fleets launch from, if any do.
        """
        self._calls = calls
        self._launcher = launcher
        self._images = images
        self._rules = rules
        self._candidates = candidates
        self._make_keeper = make_keeper
        self._parking = parking
        self._prices = prices
        self._notices = notices
        self._scheduled = scheduled
        self._templates = templates
        self._clock = clock
        self._report = report
        self._wake = wake
        self._closing = closing
        self._kept: dict[str, Kept] = {}  # by instance id
        self._listed: dict[str, Instance] = {}  # as last listed, by id
        self._gone: set[str] = set()  # ids of instances destroyed here, until EC2 agrees
        self._closed = False

    # --- inventory ---------------------------------------------------------------------------

    async def inventory(self) -> Sequence[Observed]:
        self._give_signs_of_life()  # whether EC2 answers or not
        with _translated():
            found = instances(
                await self._calls.pages("DescribeInstances", request_for_all(self._rules.pool))
            )
        before = self._listed
        self._listed = {each.id: each for each in found if each.token and each.is_living}
        self._gone &= self._listed.keys()
        self._let_go_of_all_but(self._listed)
        concerned = {**before, **self._listed}
        await self._prices.learn(concerned.values())
        await self._look_for_notices(concerned)
        await self._look_for_scheduled_events()
        ended = [self._ended(each) for each in before.values() if self._was_taken(each)]
        self._notices.forget_all_but(self._listed.keys())
        observed = {each.id: self._observed(each) for each in self._listed.values()}
        await self._add_status_checks(observed)
        await self._add_consoles(observed)
        if self._templates is not None:
            await self._templates.tidy()
        return [*observed.values(), *ended]

    def _observed(self, instance: Instance) -> Observed:
        now = self._clock.seconds()
        health, reason = seen_by_ec2(instance, self._rules.expected, now)
        address = instance.address(self._rules.expected.reach)
        seen = Observed(token=instance.token, health=health, reason=reason)
        if instance.state == "running" and address and not self._closed:
            kept = self._keep(instance.id, instance.token, address, instance.launched_at)
            seen = judged(kept, self._rules.expected, now)
        if instance.id in self._gone:
            seen = replace(seen, health=Health.FAILING, reason=f"{instance.id} is being terminated")
        seen = replace(
            seen,
            created_at=instance.launched_at,
            address=address,
            parkable=is_parkable(instance),
            data={**seen.data, **_data(instance)},
        )
        return self._with_its_end(seen, instance)

    def _was_taken(self, instance: Instance) -> bool:
        """Tell whether an instance that was listed before has been taken back meanwhile."""
        return instance.id not in self._listed and self._notices.of(instance.id) is not None

    def _ended(self, instance: Instance) -> Observed:
        return self._with_its_end(Observed(token=instance.token, has_ended=True), instance)

    def _with_its_end(self, seen: Observed, instance: Instance) -> Observed:
        """Return what is seen of an instance with what it costs, and when and why it ends."""
        notice = self._notices.of(instance.id)
        return replace(
            seen,
            identity=instance.id,
            ends_at=None if notice is None else notice.ends_at,
            end_reason="" if notice is None else f"{notice.reason} ({_what(instance)})",
            hourly_price=self._prices.of(instance),
        )

    async def _add_status_checks(self, observed: dict[str, Observed]) -> None:
        """Let those fail that EC2 finds impaired. Only the silent ones are asked about."""
        silent = [
            number
            for number, each in observed.items()
            if each.health is not Health.READY and self._listed[number].state == "running"
        ]
        for first in range(0, len(silent), _MOST_STATUSES):
            request = {"InstanceIds": silent[first : first + _MOST_STATUSES]}
            try:
                reply = await self._calls.call("DescribeInstanceStatus", request)
            except CallFailed as failed:
                # One that has gone meanwhile fails them all. The next listing asks again.
                self.log.debug("no status checks: {failed}", failed=failed)
                return
            for number, reason in impaired(reply):
                seen = observed[number]
                observed[number] = replace(seen, health=Health.FAILING, reason=reason)

    async def _add_consoles(self, observed: dict[str, Observed]) -> None:
        """Add the end of the console's output to why an instance that was coming is given up."""
        for number, seen in observed.items():
            kept = self._kept.get(number)
            is_given_up = seen.health is Health.FAILING and number not in self._gone
            if not is_given_up or kept is None or kept.was_ready:
                continue
            try:
                reply = await self._calls.call("GetConsoleOutput", {"InstanceId": number})
            except CallFailed as failed:
                self.log.debug("no console output: {failed}", failed=failed)
                continue
            tail = console_tail(str(reply.get("Output") or ""))
            if tail:
                reason = f"{seen.reason}. The end of its console's output:\n{tail}"
                observed[number] = replace(seen, reason=reason)

    # --- interruptions and prices ------------------------------------------------------------

    async def _look_for_notices(self, concerned: Mapping[str, Instance]) -> None:
        """Ask which of the pool's spot instances are taken back, or were since the last listing."""
        if any(each.market is Market.SPOT for each in concerned.values()):
            request = request_for_notices(self._rules.pool)
            try:
                pages = await self._calls.pages("DescribeSpotInstanceRequests", request)
            except CallFailed as failed:
                # The listing counts without it; the next one asks again.
                self.log.warn("no word of interruptions: {failed}", failed=failed)
                pages = []
            for notice in of_requests(pages):
                if notice.instance in concerned and notice.instance not in self._gone:
                    self._hear(notice, concerned[notice.instance])

    async def _look_for_scheduled_events(self) -> None:
        """Ask now and then what EC2 has scheduled, while any instance runs."""
        if any(each.state == "running" for each in self._listed.values()):
            for notice in await self._scheduled.look():
                if notice.instance in self._listed:
                    self._hear(notice, self._listed[notice.instance])

    def is_listed(self, number: str) -> bool:
        """Tell whether an instance's id was in the last listing. May be called in any thread."""
        return number in self._listed

    def hear(self, notice: Notice) -> None:
        """Take note of what EC2 says by itself of an instance's end."""
        instance = self._listed.get(notice.instance)
        if instance is not None and self._hear(notice, instance):
            self._wake()

    def _hear(self, notice: Notice, instance: Instance) -> bool:
        if not self._notices.hear(notice):
            return False
        # The planner of whichever master is first records it, when it gives the resource notice.
        self.log.info(
            "instance {id} ({what}), {token}: {reason}",
            id=instance.id,
            what=_what(instance),
            token=instance.token,
            reason=notice.reason,
        )
        return True

    def expected_price(self) -> float | None:
        """Return what an hour of the dearest instance that may be launched costs, if known."""
        return self._prices.dearest()

    # --- create and destroy ------------------------------------------------------------------

    async def create(self, token: str, spec: HostSpec) -> None:
        """Launch an instance, unless one has the token."""
        if any(each.token == token for each in self._listed.values()):
            return
        with _translated():
            try:
                await self._launcher.launch(token, self._candidates(spec.place))
            except CallFailed as failed:
                if failed.cause is Cause.WRONG:
                    self._images.forget()
                raise

    async def destroy(self, token: str, identity: str = "") -> None:
        """Terminate all instances of a token, whether they are listed already or not."""
        with _translated():
            found = await self._instances_of(token)
            doomed = [each for each in found.values() if identity in ("", each.id)]
            await self._cancel_spot_requests(doomed)
            await self._terminate(token, doomed)
        if not identity:
            self._launcher.forget(token)

    async def park(self, token: str, identity: str) -> None:
        """Stop an instance. One that is not listed any more is gone."""
        instance = self._listed.get(identity)
        if instance is None:
            return
        with _translated():
            await self._parking.stop(instance)
        self._let_go([identity])

    async def wake(self, token: str, identity: str) -> None:
        """Start an instance. One that is not listed any more is gone."""
        instance = self._listed.get(identity)
        if instance is not None:
            with _translated():
                await self._parking.start(instance)

    async def _instances_of(self, token: str) -> dict[str, Instance]:
        """Return what lives of a token: what EC2 tells of, and what we know beside that."""
        found = {each.id: each for each in await self._launcher.known_to_ec2(token)}
        for number in self._launcher.instances_of(token):
            found.setdefault(number, Instance(id=number, token=token, state="pending"))
        return {number: each for number, each in found.items() if each.is_living}

    async def _cancel_spot_requests(self, doomed: Collection[Instance]) -> None:
        """First of all: a request that outlives its instance may bring another one."""
        requests = [each.spot_request for each in doomed if each.spot_request]
        if not requests:
            return
        try:
            await self._calls.call(
                "CancelSpotInstanceRequests", {"SpotInstanceRequestIds": requests}
            )
        except CallFailed as failed:
            if failed.cause is not Cause.ABSENT:
                raise

    async def _terminate(self, token: str, doomed: Collection[Instance]) -> None:
        ids = [each.id for each in doomed if each.state != "shutting-down"]
        if ids:
            try:
                await self._calls.call("TerminateInstances", {"InstanceIds": ids}, about=token)
            except CallFailed as failed:
                if failed.cause is not Cause.ABSENT:
                    raise
                text = f"EC2 does not know {' and '.join(ids)} yet, which was launched for {token}"
                raise CallFailed(Cause.ABSENT, RetryLater(f"{text} ({failed})")) from failed
        self._gone.update(each.id for each in doomed)
        self._let_go([each.id for each in doomed])

    # --- what runs there ---------------------------------------------------------------------

    def connect(self, resource: Resource) -> Host:
        """Return the way to an instance. Raises ``HostUnreachable`` if it has no address."""
        return self._keeper_of(resource).keeper.host(resource.token)

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        """End what a lease left. What ran on an instance that has gone has ended with it."""
        if await self._is_gone(resource):
            return
        kept = self._keeper_of(resource)
        try:
            await kept.keeper.host(resource.token).stop(lease.tag)
            if not self._rules.keep_build_directories and lease.slot is not None:
                await kept.keeper.wipe(lease.slot)
        except HostError:
            if not await self._is_gone(resource, look=True):
                raise

    async def _is_gone(self, resource: Resource, *, look: bool = False) -> bool:
        number = resource.identity
        if number in self._gone:
            return True
        if not look or not number:
            return False
        request = {"InstanceIds": [number]}
        with _translated():
            try:
                found = instances(await self._calls.pages("DescribeInstances", request))
            except CallFailed as failed:
                if failed.cause is Cause.ABSENT:
                    return True
                raise
        # What hibernates goes on with it all when it is woken.
        return not any(
            each.state in ("pending", "running") or (each.hibernates and each.state in STOPPED)
            for each in found
        )

    def _keeper_of(self, resource: Resource) -> Kept:
        if self._closed or not resource.address:
            raise HostUnreachable(f"resource {resource.id} has no address to connect to")
        listed = self._listed.get(resource.identity)
        launched_at = None if listed is None else listed.launched_at
        return self._keep(resource.identity, resource.token, resource.address, launched_at)

    # --- keepers -----------------------------------------------------------------------------

    def _keep(
        self, number: str, token: str, address: str, launched_at: float | None = None
    ) -> Kept:
        """Return the keeper of an instance: another one if it was stopped and started meanwhile."""
        kept = self._kept.get(number)
        if kept is not None and not kept.is_of(address, launched_at):
            self._let_go([number])
            kept = None
        if kept is None:
            keeper = self._make_keeper(
                number, token, address, lambda event: self._told(number, event)
            )
            kept = Kept(number, token, address, self._clock.seconds(), keeper, launched_at)
            self._kept[number] = kept
            keeper.begin()
            keeper.use(token, "" if launched_at is None else f"{launched_at:.0f}")
        return kept

    def _told(self, number: str, event: Event) -> None:
        """Hear of an instance's connection. While it comes up that says nothing."""
        kept = self._kept.get(number)
        if kept is not None and kept.was_ready:
            self._report(event)

    def _let_go_of_all_but(self, living: Mapping[str, Instance]) -> None:
        """Those that are stopped have no keeper either: it would try to reach them for ever."""
        reachable = {number for number, each in living.items() if each.state not in STOPPED}
        self._let_go([number for number in self._kept if number not in reachable])

    def _let_go(self, numbers: Collection[str]) -> None:
        for number in numbers:
            kept = self._kept.pop(number, None)
            if kept is not None:
                closing = Deferred.fromCoroutine(kept.keeper.close())
                closing.addErrback(lambda failure: self.log.failure("closing a keeper", failure))

    def _give_signs_of_life(self) -> None:
        """Tell the dead-man switches of all instances in use that there is a master."""
        interval = self._rules.sign_interval
        now = self._clock.seconds()
        for kept in self._kept.values() if interval is not None else ():
            assert interval is not None
            if kept.was_ready and now >= kept.signed_at + interval:
                kept.signed_at = now
                signing = Deferred.fromCoroutine(self._sign(kept))
                signing.addErrback(lambda failure: self.log.failure("a sign of life", failure))

    async def _sign(self, kept: Kept) -> None:
        try:
            await kept.keeper.host(kept.token).run(["touch", SIGN_OF_LIFE], timeout=_SIGN_SECONDS)
        except HostError as error:
            kept.signed_at = float("-inf")  # with the next listing again
            self.log.debug("no sign of life for {id}: {error}", id=kept.id, error=error)

    async def close(self) -> None:
        """Let go of all instances. What runs there goes on."""
        self._closed = True
        closing = [Deferred.fromCoroutine(kept.keeper.close()) for kept in self._kept.values()]
        self._kept.clear()
        await DeferredList(closing, consumeErrors=True)
        if self._closing is not None:
            await self._closing()

    @property
    def is_working(self) -> bool:
        """Whether any instance is being worked on."""
        return any(kept.keeper.is_working for kept in self._kept.values())


def _what(instance: Instance) -> str:
    return f"{instance.instance_type} in {instance.zone}"


def _data(instance: Instance) -> dict[str, str]:
    found = {
        "zone": instance.zone,
        "type": instance.instance_type,
        "market": instance.market.value,
        "image": instance.image,
    }
    return {key: value for key, value in found.items() if value}


def impaired(reply: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the instances with a failed status check, and which one."""
    for each in reply.get("InstanceStatuses", ()):
        for kind in ("SystemStatus", "InstanceStatus"):
            if (each.get(kind) or {}).get("Status") == "impaired":
                what = "system" if kind == "SystemStatus" else "instance"
                yield each["InstanceId"], f"{each['InstanceId']} fails the {what} status check"
                break


def console_tail(output: str) -> str:
    """Return the end of a console's output."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    return "\n".join(lines[-_CONSOLE_LINES:])[-_CONSOLE_CHARACTERS:]


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what a failed call means to the loop."""
    try:
        yield
    except CallFailed as failed:
        raise failed.error from failed
