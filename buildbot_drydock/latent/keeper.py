"""The keeper of one listed machine: knows what is wished of it, and brings it about.

The verbs of the provider only change wishes. The keeper works in the background, one step at a
time: it connects, looks, cleans up, makes the machine fit, takes it into use. What fails is tried
again later, as the machine's health has it; what is shown of it is always as known at the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger

from buildbot_drydock import events
from buildbot_drydock.errors import HostError
from buildbot_drydock.interfaces import Host, ReactorTime
from buildbot_drydock.latent import premises
from buildbot_drydock.latent.claims import Claim, Claims, Progress
from buildbot_drydock.latent.health import Gravity, Trouble
from buildbot_drydock.latent.links import Dial, FindInterpreter
from buildbot_drydock.latent.premises import OWNER_MARK, Look, Marker, owner
from buildbot_drydock.latent.troubles import (
    CONNECTING,
    LOOKING,
    Setback,
    foreign_marker,
    little_space,
    skewed_clock,
    trouble_of,
    unreadable_marker,
)
from buildbot_drydock.latent.vitals import Vitals
from buildbot_drydock.model import Observed
from buildbot_drydock.remote.processes import RESOURCE_MARK

Step: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

CLOCK_SKEW_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the keepers of a pool go by. Times are in seconds."""

    installation: str
    directory: str  # on the machine, relative to the login's own
    keep_build_directories: bool = True
    tunnels: bool = False  # whether workers reach the master through the connection
    boot_timeout: float = 900.0  # for any one step
    lost_after: float = 60.0
    probe_interval: float = 60.0
    min_free_bytes: int = 0


class Keeper:
    """Keeps one machine. ``use`` and ``leave`` state wishes, ``listing`` says what there is."""

    log = Logger()

    def __init__(
        self,
        name: str,
        address: str,
        dial: Dial,
        rules: Rules,
        *,
        find_interpreter: FindInterpreter,
        clock: ReactorTime,
        uniform: Callable[[], float],
        changed: Callable[[], None],
        report: Callable[[events.Event], None],
    ) -> None:
        self.name = name
        self._rules = rules
        self._find_interpreter = find_interpreter
        self._clock = clock
        self._uniform = uniform
        self._changed = changed
        self._report = report
        self._link = dial(self._connection_lost)
        self._vitals = Vitals(
            name, lost_after=rules.lost_after, clock=clock, uniform=uniform, report=report
        )
        self._claims = Claims(
            name,
            address,
            installation=rules.installation,
            boot_timeout=rules.boot_timeout,
            vitals=self._vitals,
        )
        self._in_service = True
        self._skew_reported = False
        self._is_open = False
        self._loss: HostError | None = None  # how the connection came to be lost
        self._look_at = clock.seconds()  # when to look again
        self._try_at = 0.0  # nothing before this, after a failure
        self._fit = False  # since the last look
        self._python = ""
        self._port = 0
        self._phase = ""
        self._step: Deferred[None] | None = None
        self._subject: Claim | None = None  # what the step is for
        self._running = False
        self._timer: Any = None
        self._closed = False
        self._shown: object = None

    # --- wishes ------------------------------------------------------------------------------

    def begin(self, delay: float = 0.0) -> None:
        """Look at the machine for the first time, after so many seconds."""
        self._try_at = max(self._try_at, self._clock.seconds() + delay)
        self._go_on()

    def use(self, token: str, start: str = "") -> None:
        """Take the machine into use for a resource. One that is leaving does not come back.

        A machine that was restarted is not what its resource was taken into use on, unless its
        provider has started it again: *start* tells one such time from the next.
        """
        if token not in self._claims:
            self._claims.add(token, self._clock.seconds(), Progress.COMING, start)
            self._look_soon()

    def leave(self, token: str) -> None:
        """Clean up after a resource, then forget it. It is listed until then."""
        claim = self._claims.add(token, self._clock.seconds(), Progress.LEAVING)
        if claim.progress is not Progress.LEAVING:
            claim.progress = Progress.LEAVING
            if self._subject is claim and self._step is not None:
                self._step.cancel()
        self._look_soon()

    def put_in_service(self, in_service: bool) -> None:
        """Say whether the list has the machine in service. Otherwise it is only cleaned up."""
        if in_service != self._in_service:
            self._in_service = in_service
            self._go_on()

    async def close(self) -> None:
        """Stop keeping the machine. What runs there goes on."""
        self._closed = True
        self._stop_timer()
        if self._step is not None:
            self._step.cancel()
        await self._link.close()

    # --- what is known -----------------------------------------------------------------------

    @property
    def unavailable(self) -> str:
        """Why the machine takes no new leases; empty if it does."""
        return self._vitals.unavailable

    @property
    def is_working(self) -> bool:
        """Whether a step is under way, or due."""
        return self._running

    @property
    def is_free(self) -> bool:
        """Whether nothing of ours is known to be on the machine, or wished to be."""
        return not self._claims and self._claims.marker is None

    def host(self, token: str) -> Host:
        """Return what runs commands on the machine for a resource."""
        marks = {
            RESOURCE_MARK: token,
            OWNER_MARK: owner(self._rules.installation, token),
        }
        return self._link.host(self._rules.directory, marks)

    async def wipe(self, slot: int) -> None:
        """Remove the build directories of a slot. Raises ``HostError``."""
        await premises.wipe(self._home(), self._rules.directory, slot)

    def listing(self) -> list[Observed]:
        """Return what is on the machine, as known at the moment."""
        return self._claims.listing(self._clock.seconds(), self._doing())

    def _doing(self) -> str:
        marker = self._claims.marker
        if marker is not None and self._step is None and marker.token not in self._claims:
            return f"waiting until what {marker.token} left is cleaned up"
        return self._phase or CONNECTING

    # --- working -----------------------------------------------------------------------------

    def _look_soon(self) -> None:
        """See how things are before anything is done, and don't wait for long."""
        now = self._clock.seconds()
        self._look_at = now
        if not self._vitals.is_silent:
            self._try_at = now
        self._go_on()

    def _go_on(self) -> None:
        if not self._running and not self._closed:
            self._running = True
            self._stop_timer()
            working = Deferred.fromCoroutine(self._work())
            working.addErrback(
                lambda failure: self.log.failure("keeping {n}", failure, n=self.name)
            )

    async def _work(self) -> None:
        try:
            while not self._closed and (step := self._next_step()) is not None:
                self._show()
                await self._do(step)
        finally:
            self._running = False
        if not self._closed:
            self._show()
            self._rest()

    def _next_step(self) -> Step | None:
        now = self._clock.seconds()
        if not self._in_service and self.is_free:
            return self._let_go if self._is_open or self._claims.look is not None else None
        if now < self._try_at:
            return None
        if not self._is_open or now >= self._look_at:
            return self._visit
        for claim in self._claims:
            if claim.progress is Progress.LEAVING:
                return self._for(claim, self._clean)
        if not self._fit and self._in_service:
            return self._make_fit
        return self._next_taking()

    def _next_taking(self) -> Step | None:
        look = self._claims.look
        marker = look.marker if look is not None else None
        for claim in self._claims:
            if claim.progress is not Progress.COMING or claim.failure:
                continue
            # Another's resource is not ours to clean up: the planner knows whether it lives.
            if marker is None or marker.token == claim.token:
                return self._for(claim, self._take)
        return None

    def _for(self, claim: Claim, act: Callable[[Claim], Coroutine[Any, Any, None]]) -> Step:
        def step() -> Coroutine[Any, Any, None]:
            self._subject = claim
            return act(claim)

        return step

    async def _do(self, step: Step) -> None:
        """Do one step; what fails is remembered, and tried again later."""
        self._subject = None
        self._step = Deferred.fromCoroutine(step())
        try:
            await self._step.addTimeout(self._rules.boot_timeout, self._clock)  # type: ignore[arg-type]
        except CancelledError:
            pass  # what it was for is no longer wished
        except TimeoutError:
            limit = f"{self._rules.boot_timeout:.0f} s"
            reason = f"it took more than {limit}"
            self._fail(Trouble(phase=self._phase, reason=reason, gravity=Gravity.UNFIT))
        except HostError as error:
            self._fail(trouble_of(self._loss or error, self._phase))
        except Exception as error:  # noqa: BLE001 - our own bug: it stops this machine alone
            self.log.failure("keeping host {name}", name=self.name)
            self._fail(Trouble(phase=self._phase, reason=repr(error), gravity=Gravity.UNFIT))
        finally:
            self._step = self._subject = None

    async def _visit(self) -> None:
        """Connect, if need be, and look at the machine."""
        if not self._is_open:
            self._phase = CONNECTING
            await self._link.close()
            self._loss = None
            await self._link.open()
            self._is_open = True
            self._python = ""
            self._port = 0
        self._phase = LOOKING
        now = self._clock.seconds()
        seen = await premises.look(self._home(), self._rules.directory, now)
        self._claims.look = seen
        self._look_at = now + self._rules.probe_interval * (0.75 + 0.5 * self._uniform())
        self._fit = False
        self._see(seen)
        self._vitals.heard()
        if not self._in_service:  # then nobody asks whether it is fit
            self._vitals.answered()

    def _see(self, seen: Look) -> None:
        """Judge what was seen. Raises ``Setback`` if the machine is not ours to use."""
        if seen.unreadable:
            raise Setback(unreadable_marker(seen))
        if seen.marker is not None and seen.marker.installation != self._rules.installation:
            raise Setback(foreign_marker(seen, seen.marker))
        if abs(seen.clock_ahead) > CLOCK_SKEW_SECONDS:
            if not self._skew_reported:
                self._report(skewed_clock(self.name, seen))
            self._skew_reported = True
        else:
            self._skew_reported = False
        self._claims.compare(seen)

    async def _make_fit(self) -> None:
        """See that all is there that a worker needs."""
        self._phase = LOOKING
        look = self._claims.look
        free = look.free_bytes if look is not None else None
        if look is not None and free is not None and free < self._rules.min_free_bytes:
            raise Setback(little_space(look, self._rules.min_free_bytes))
        if not self._python:
            self._phase = "looking for an interpreter"
            self._python = await self._find_interpreter(self._link.host(self._rules.directory, {}))
        if self._rules.tunnels and not self._port:
            self._phase = "opening the tunnel"
            marker = self._claims.marker
            # A worker that runs knows the port that it was told.
            self._port = await self._link.tunnel(marker.port if marker is not None else 0)
        self._phase = ""
        self._fit = True
        self._vitals.answered()

    async def _take(self, claim: Claim) -> None:
        """Put our marker on the machine, then end what earlier resources left."""
        self._phase = "taking it into use"
        if not await self._mark(claim, ready=False):
            self._look_at = self._clock.seconds()  # another master was faster
            return
        for other in sorted(await premises.owners(self._home())):
            installation, _, token = other.rpartition("/")
            if installation == self._rules.installation and token != claim.token:
                await self._link.end(OWNER_MARK, other)
        if await self._mark(claim, ready=True):
            claim.progress = Progress.TAKEN
        self._phase = ""

    async def _mark(self, claim: Claim, *, ready: bool) -> bool:
        look = self._claims.look
        assert look is not None
        marker = Marker(
            installation=self._rules.installation,
            token=claim.token,
            since=claim.since,
            boot=look.boot,
            start=claim.start,
            ready=ready,
            python=self._python,
            port=self._port,
        )
        taken = await premises.claim(self._home(), self._rules.directory, marker)
        if taken:
            self._claims.look = look.marked(marker)
        return taken

    async def _clean(self, claim: Claim) -> None:
        """End all of a resource, and remove its marker last."""
        self._phase = "cleaning up"
        rules = self._rules
        await self._link.end(OWNER_MARK, owner(rules.installation, claim.token))
        await self._link.end(RESOURCE_MARK, claim.token)
        marker = self._claims.marker
        if not rules.keep_build_directories and marker is not None and marker.token == claim.token:
            await premises.wipe(self._home(), rules.directory)
        await premises.unclaim(self._home(), rules.directory, claim.token)
        self._claims.drop(claim)
        self._phase = ""

    async def _let_go(self) -> None:
        """Forget a machine that is out of service, and has nothing of ours."""
        self._is_open = self._fit = False
        self._claims.look = None
        self._vitals.forget()
        self._try_at = 0.0
        await self._link.close()

    def _home(self) -> Host:
        return self._link.host("", {})

    # --- failures ----------------------------------------------------------------------------

    def _connection_lost(self, error: HostError) -> None:
        if not self._is_open or self._closed:
            return
        self._is_open = False
        self._loss = error
        if self._step is None:  # otherwise that fails
            self._fail(trouble_of(error, ""))
            self._show()
            self._rest()

    def _fail(self, trouble: Trouble) -> None:
        now = self._clock.seconds()
        self._try_at = now + self._vitals.failed(trouble)
        self._look_at = now
        if trouble.gravity is not Gravity.UNFIT:
            self._is_open = False

    # --- resting -----------------------------------------------------------------------------

    def _show(self) -> None:
        """Tell of what has changed."""
        self._vitals.announce()
        shown = (self.unavailable, self.listing())
        if shown != self._shown:
            self._shown = shown
            self._changed()

    def _rest(self) -> None:
        """Wait for the next thing to do by itself."""
        self._stop_timer()
        now = self._clock.seconds()
        at = min((each for each in self._next_times() if each > now), default=None)
        if at is not None:
            self._timer = self._clock.callLater(at - now, self._woken)

    def _next_times(self) -> Iterator[float]:
        if self._in_service or not self.is_free:
            yield self._try_at
            yield self._look_at
        change = self._vitals.next_change()
        if change is not None:
            yield change
        yield from self._claims.next_deadline()

    def _woken(self) -> None:
        self._timer = None
        self._show()
        self._go_on()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
