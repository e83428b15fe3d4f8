"""A cloud that exists only in memory: its hosts, what runs on them, and the script it follows.

It outlives the masters that use it, and what happens in it behind their backs is in the hands of
whoever holds the ``SyntheticCloud``.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from buildbot_drydock.errors import (
    HostError,
    HostUnreachable,
    NoCapacity,
    RequestRejected,
    RetryLater,
)
from buildbot_drydock.interfaces import Clock, HostSpec
from buildbot_drydock.model import Health, Observed

T = TypeVar("T")


class Stage(Enum):
    """Where in a call something goes wrong."""

    BEFORE = "before"  # the cloud never heard of it
    AFTER = "after"  # the cloud did as asked, and its reply is lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A verb that raises.

    *verb* is one of a provider's (``inventory``, ``create``, ``destroy``, ``park``, ``wake``,
    ``prepare``, ``vacate``) or of a host's (``run``, ``start``, ``running``, ``stop``, ``read``, ``write``, ...).
    """

    verb: str
    error: type[Exception] = RetryLater
    message: str = ""
    times: int | None = None  # how often before it succeeds; None for ever
    stage: Stage = Stage.BEFORE

    def exception(self) -> Exception:
        return self.error(self.message or f"the script lets this {self.verb} fail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command answers, if its shell-quoted command line matches *pattern*.

    The pattern is one of ``fnmatch``: ``*`` stands for anything.
    """

    pattern: str
    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0  # how long it takes
    error: type[HostError] | None = None
    times: int | None = None  # how many commands it answers; None for all


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How a synthetic cloud behaves. All times are in seconds."""

    boot_seconds: float = 0.0
    capacity: int = 1_000  # hosts that run at once, whoever asked for them
    listing_delay_seconds: float = 0.0  # how long a new host is missing from listings
    teardown_seconds: float = 0.0  # how long a destroyed host is still there, and listed
    lifetime_seconds: float | None = None  # after this a host vanishes, as a spot instance may
    notice_seconds: float = 0.0  # so long before that its end is announced
    hourly_price: float | None = None  # of each host
    park_seconds: float = 0.0  # how long a host takes to stop
    parkable: bool = True  # whether hosts can be parked
    hanging_boots: int = 0  # so many hosts, the first, never finish starting
    failing_boots: int = 0  # so many hosts after those report that they have failed to start
    twin_creates: int = 0  # so many creates, the first, make two hosts
    latency_seconds: Mapping[str, float] = field(default_factory=dict)  # by verb
    failures: tuple[Failure, ...] = ()  # of those that apply, the first counts
    answers: tuple[Answer, ...] = ()  # likewise; what none matches exits with 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point of a call at which a hook may raise, or wait."""

    verb: str
    subject: str  # the token of a host; empty for a listing
    stage: Stage


Hook = Callable[[Moment], Awaitable[None]]


async def _nothing(moment: Moment) -> None:
    """Let the call go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What was started on a host and has not been stopped."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str | None
    log: str | None


@dataclass(slots=True, kw_only=True, eq=False)
class Machine:
    """One host of the cloud, as it really is. The cloud alone changes it."""

    blueprint: str
    token: str
    identity: str
    spec: HostSpec
    born_at: float
    ready_at: float
    listed_at: float
    gone_at: float | None = None
    noticed_at: float | None = None  # from then on its end is announced
    end_reason: str = ""
    hourly_price: float | None = None
    stopped_at: float | None = None  # from when on it is parked; None while it runs
    torn_down: bool = False
    parkable: bool = True
    hung: bool = False
    silent: bool = False
    failure: str = ""
    processes: dict[str, Process] = field(default_factory=dict)  # by tag
    files: dict[str, bytes] = field(default_factory=dict)  # by path
    stopped: set[str] = field(default_factory=set)  # tags, which are never started again

    def start(self, tag: str, process: Process) -> bool:
        """Return whether it had not run yet. Raises ``HostError`` if it was stopped before."""
        if tag in self.stopped:
            raise HostError(f"host {self.token}: {tag} was stopped before it was started")
        return self.processes.setdefault(tag, process) is process

    def stop(self, tag: str) -> None:
        self.stopped.add(tag)
        self.processes.pop(tag, None)

    def health(self, now: float) -> Health:
        if self.torn_down or self.failure:
            return Health.FAILING
        if self.stopped_at is not None:
            return Health.PARKING if now < self.stopped_at else Health.PARKED
        return Health.STARTING if self.hung or now < self.ready_at else Health.READY

    def answers(self, now: float) -> bool:
        booted = not self.hung and now >= self.ready_at
        return booted and not self.silent and not self.torn_down and self.stopped_at is None

    def shut_down(self, stopped_at: float) -> None:
        """Stop; what runs there ends with that."""
        self.stopped_at = stopped_at
        self.processes.clear()

    def has_notice(self, now: float) -> bool:
        return self.noticed_at is not None and self.noticed_at <= now and not self.torn_down

    def observed(self, now: float) -> Observed:
        noticed = self.has_notice(now)
        return Observed(
            token=self.token,
            identity=self.identity,
            health=self.health(now),
            created_at=self.born_at,
            address=self.identity,
            reason="being torn down" if self.torn_down else self.failure,
            ends_at=self.gone_at if noticed else None,
            end_reason=self.end_reason if noticed else "",
            hourly_price=self.hourly_price,
            parkable=self.parkable,
            data={"place": str(self.spec.place)},
        )


class SyntheticCloud:
    """The hosts, and what happens to them behind a provider's back.

    *script* may be replaced at any time; it applies to what begins from then on. *hook* is awaited
    before and after each call takes effect, and may raise or wait. A script in which something
    takes time within a call needs a *reactor* to wait on; without one all calls finish at once.
    """

    def __init__(
        self,
        clock: Clock,
        script: Script | None = None,
        *,
        reactor: IReactorTime | None = None,
        hook: Hook = _nothing,
    ) -> None:
        self.script = Script() if script is None else script
        self.hook = hook
        self._clock = clock
        self._reactor = reactor
        self._machines: list[Machine] = []
        self._births = 0
        self._creates = 0
        self._spent: Counter[Failure | Answer] = Counter()

    # --- behind the provider's back ---------------------------------------------------------

    def hosts(self, blueprint: str | None = None) -> Sequence[Machine]:
        """Return every host there is, oldest first, whatever the listings admit to."""
        now = self._clock.seconds()
        self._machines = [m for m in self._machines if m.gone_at is None or now < m.gone_at]
        return [m for m in self._machines if blueprint in (None, m.blueprint)]

    def tokens(self) -> list[str]:
        """Return the token of every host there is; that of twins twice."""
        return sorted(machine.token for machine in self.hosts())

    def living(self) -> int:
        return len(self.hosts())

    def parked(self) -> int:
        """Count the hosts that are stopped, or on their way to it."""
        return sum(machine.stopped_at is not None for machine in self.hosts())

    def running(self, tag: str) -> frozenset[str]:
        """Return the identities of the hosts on which something marked with *tag* runs."""
        return frozenset(m.identity for m in self.hosts() if tag in m.processes)

    def tags(self) -> Mapping[str, frozenset[str]]:
        """Return what runs on each host, by the host's identity."""
        return {m.identity: frozenset(m.processes) for m in self.hosts()}

    def lose(self, token: str) -> None:
        """Take a host away without being asked, as a cloud may."""
        self._machines = [m for m in self._machines if m.token != token]

    def hang(self, token: str) -> None:
        """Let a host never finish starting, and not answer."""
        for machine in self.named(token):
            machine.hung = True

    def silence(self, token: str) -> None:
        """Let a host no longer answer, although the cloud says that it is ready."""
        for machine in self.named(token):
            machine.silent = True

    def fail(self, token: str, reason: str) -> None:
        """Let a host report that it has failed."""
        for machine in self.named(token):
            machine.failure = reason

    def give_notice(self, token: str, reason: str, *, seconds: float | None = None) -> None:
        """Announce the end of a host, which comes after so many seconds, or nobody knows when."""
        now = self._clock.seconds()
        for machine in self.named(token):
            if not machine.torn_down:
                machine.noticed_at, machine.end_reason = now, reason
                machine.gone_at = machine.gone_at if seconds is None else now + seconds

    def reprice(self, token: str, hourly_price: float) -> None:
        """Let a host cost another price from now on."""
        for machine in self.named(token):
            machine.hourly_price = hourly_price

    def make_twin(self, token: str) -> str:
        """Build a second host with the token of another; return its identity.

        Raises ``LookupError`` if there is none to be a twin of.
        """
        machines = self.named(token)
        if not machines:
            raise LookupError(f"no host bears the token {token!r}")
        return self._build(machines[0].blueprint, token, machines[0].spec).identity

    def named(self, token: str, identity: str = "") -> Sequence[Machine]:
        """Return the hosts with this token, or of them only the one with this identity."""
        return [m for m in self.hosts() if m.token == token and identity in ("", m.identity)]

    # --- what providers and their hosts use -------------------------------------------------

    async def call(self, verb: str, subject: str, effect: Callable[[], T]) -> T:
        """Carry out one call, with the delays and the failures that the script gives its verb."""
        latency = self.script.latency_seconds.get(verb, 0.0)
        # A listing is as old as it can be when it arrives; a change happens as late as it can.
        listing = verb == "inventory"
        await self.wait(0.0 if listing else latency)
        await self._pass(Moment(verb=verb, subject=subject, stage=Stage.BEFORE))
        result = effect()
        await self.wait(latency if listing else 0.0)
        await self._pass(Moment(verb=verb, subject=subject, stage=Stage.AFTER))
        return result

    async def wait(self, seconds: float) -> None:
        """Let time pass within a call. Raises ``ValueError`` if there is no reactor for it."""
        if seconds <= 0:
            return
        if self._reactor is None:
            raise ValueError("the script lets a call take time: give the cloud a reactor")
        await deferLater(self._reactor, seconds)

    def listing(self, blueprint: str) -> Sequence[Observed]:
        now = self._clock.seconds()
        return [m.observed(now) for m in self.hosts(blueprint) if now >= m.listed_at]

    def create(self, blueprint: str, token: str, spec: HostSpec) -> None:
        if self.named(token):
            return
        self._take_capacity()
        self._creates += 1
        self._build(blueprint, token, spec)
        if self._creates <= self.script.twin_creates:
            self._build(blueprint, token, spec)

    def park(self, token: str, identity: str = "") -> None:
        """Stop a host; nothing if it is stopped, or gone. Raises ``RequestRejected`` if it can't be."""
        for machine in self.named(token, identity):
            if machine.torn_down or machine.stopped_at is not None:
                continue
            if not machine.parkable:
                raise RequestRejected(f"host {token} can't be parked, as the script says")
            machine.shut_down(self._clock.seconds() + self.script.park_seconds)

    def wake(self, token: str, identity: str = "") -> None:
        """Start a host that is parked. Raises ``RetryLater`` while it is still stopping."""
        now = self._clock.seconds()
        for machine in self.named(token, identity):
            if machine.torn_down or machine.stopped_at is None:
                continue
            if now < machine.stopped_at:
                raise RetryLater(f"host {token} is still stopping")
            self._take_capacity()
            machine.stopped_at = None
            machine.ready_at = now + self.script.boot_seconds

    def _take_capacity(self) -> None:
        if self.living() - self.parked() >= self.script.capacity:
            raise NoCapacity(
                f"all {self.script.capacity} hosts of the synthetic cloud are in use; "
                "raise its capacity, or wait until one is destroyed"
            )

    def destroy(self, blueprint: str, token: str, identity: str) -> None:
        now = self._clock.seconds()
        for machine in self.named(token, identity):
            if machine.blueprint == blueprint and not machine.torn_down:
                machine.torn_down = True
                machine.processes.clear()
                machine.gone_at = now + self.script.teardown_seconds

    def reach(self, token: str, identity: str) -> Machine:
        """Return a host that answers. Raises ``HostUnreachable`` if it does not."""
        machines = self.named(token, identity)
        if not machines:
            raise HostUnreachable(f"host {token}: there is no such host")
        if not machines[0].answers(self._clock.seconds()):
            raise HostUnreachable(f"host {token}: it does not answer")
        return machines[0]

    def answer(self, argv: Sequence[str]) -> Answer:
        """Return what the script lets a command answer."""
        line = shlex.join(argv)
        for candidate in self.script.answers:
            if fnmatchcase(line, candidate.pattern) and self._spend(candidate, candidate.times):
                return candidate
        return Answer(pattern="*")

    # --- its own -----------------------------------------------------------------------------

    def _build(self, blueprint: str, token: str, spec: HostSpec) -> Machine:
        now, script = self._clock.seconds(), self.script
        self._births += 1
        ends_at = None if script.lifetime_seconds is None else now + script.lifetime_seconds
        noticed = ends_at is not None and script.notice_seconds > 0
        fails = script.hanging_boots < self._births <= script.hanging_boots + script.failing_boots
        machine = Machine(
            blueprint=blueprint,
            token=token,
            identity=f"synthetic-{self._births}",
            spec=spec,
            born_at=now,
            ready_at=now + script.boot_seconds,
            listed_at=now + script.listing_delay_seconds,
            gone_at=ends_at,
            noticed_at=ends_at - script.notice_seconds if ends_at and noticed else None,
            end_reason="the script lets it end" if noticed else "",
            hourly_price=script.hourly_price,
            parkable=script.parkable,
            hung=self._births <= script.hanging_boots,
            failure="the script lets it fail to start" if fails else "",
        )
        self._machines.append(machine)
        return machine

    async def _pass(self, moment: Moment) -> None:
        await self.hook(moment)
        for failure in self.script.failures:
            if (failure.verb, failure.stage) == (moment.verb, moment.stage) and self._spend(
                failure, failure.times
            ):
                raise failure.exception()

    def _spend(self, entry: Failure | Answer, times: int | None) -> bool:
        """Count one use of a line of the script; tell whether it was still to be used."""
        if times is not None and self._spent[entry] >= times:
            return False
        self._spent[entry] += 1
        return True
