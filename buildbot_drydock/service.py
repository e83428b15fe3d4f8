"""The Buildbot service that runs the loop on one master: wiring, timers, wake-ups.

Workers, steps and the data API find it by its name and use its ``leases``. It starts before the
workers do, and goes on serving them until the last one has given its lease back.
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from buildbot.util.service import BuildbotService
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python import threadpool

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.approvals import Approvals
from buildbot_drydock.authorization import Subjects
from buildbot_drydock.build_leases import BuildLeases
from buildbot_drydock.calls import CallLog
from buildbot_drydock.catalogue import Catalogue
from buildbot_drydock.controller import Controller
from buildbot_drydock.crew import Crew, Holder
from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.events import Event
from buildbot_drydock.executor import Executor
from buildbot_drydock.interfaces import Host
from buildbot_drydock.latent.attempts import Attempts
from buildbot_drydock.latent.definition import Definition, Surroundings
from buildbot_drydock.launches import Launches
from buildbot_drydock.leases import Leases
from buildbot_drydock.loop import Loop
from buildbot_drydock.maintenance import Maintenance
from buildbot_drydock.metrics.census import Census, take_census
from buildbot_drydock.metrics.holds import Holds
from buildbot_drydock.metrics.registry import Metrics
from buildbot_drydock.model import Lease, Resource, World
from buildbot_drydock.offers import Demand, Offers
from buildbot_drydock.people import People
from buildbot_drydock.planner import Plan, plan
from buildbot_drydock.provider_calls import ProviderCalls
from buildbot_drydock.queries import Condition
from buildbot_drydock.retention import Retention
from buildbot_drydock.sharing import USUAL, Sharing
from buildbot_drydock.store.counting import CountedPool
from buildbot_drydock.store.journal import Journal
from buildbot_drydock.store.listings import Listings
from buildbot_drydock.store.migrations import upgrade
from buildbot_drydock.store.retention import Limits
from buildbot_drydock.store.spending import read_spending
from buildbot_drydock.store.sql import SqlStore
from buildbot_drydock.store.transactions import keep_open
from buildbot_drydock.store.usage import Usage, read_usage
from buildbot_drydock.strays import Strays
from buildbot_drydock.www import folder, registration
from buildbot_drydock.www.announcements import Announcements, OwnTimes

# Planning for fewer rows than this is done before a thread would have begun.
MANY_ROWS: Final = 500
PROVIDER_THREADS: Final = 20
# Workers bound their own stopping; this is for what nobody thought of.
CLOSING_SECONDS: Final = 180.0
THREAD_SECONDS: Final = 15.0
NONCE_BYTES: Final = 16
TOKEN_BYTES: Final = 8


class DrydockService(BuildbotService):
    """``DrydockService(name='drydock', definitions=[...])``, which ``Drydock`` adds.

    Public are ``leases``, ``people``, ``maintenance``, ``approvals``, ``strays``, ``store``,
    ``listings``, ``controller``, ``crew``, ``build_leases``, ``attempts``, ``metrics``, ``retention``, ``blueprints``,
    ``edited`` and what is documented below.
    """

    name = "drydock"
    log = Logger()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.attempts = Attempts()
        self._machine_name = ""
        self._uniform = secrets.SystemRandom().random
        self._catalogue = Catalogue(lambda: self._surroundings)
        self._providers = self._catalogue.providers
        self.blueprints = self._catalogue.blueprints
        self.edited = self._catalogue.edited
        self.crew = Crew(
            lambda worker: hooks.wake_builders_of(self._master, worker.name),
            lambda work: self._reactor.callLater(0, work),
        )
        self.build_leases = BuildLeases(self, self._let_close)
        self._offers: Offers | None = None  # None until the first turn
        self._all_discharged: Deferred[None] | None = None
        self._spared = False  # what the whole master has in memory
        self.is_ready = False  # what is public is there
        self.sharing = USUAL  # until the service is configured
        self._closers: list[Callable[[], object]] = []  # of what was opened, in that order

    # --- configuration -----------------------------------------------------------------------

    def reconfigService(
        self,
        *,
        definitions: Sequence[Definition] = (),
        lease_seconds: float = 300.0,
        renew_interval: float = 60.0,
        keep_history: float | None = None,
        most_events: int | None = None,
        most_ended: int | None = None,
        sharing: Sharing = USUAL,
    ) -> Deferred[None]:
        self.sharing = sharing
        self.leases.lease_seconds, self.renew_interval = lease_seconds, renew_interval
        limits = Limits(seconds=keep_history, events=most_events, ended=most_ended)
        self.retention.limits = limits
        self._catalogue.configure(definitions)
        if self.running:
            self._renewing.stop()
            self._start_renewing()
            self.wake()
        configured: Deferred[None] = super().reconfigService()
        return configured

    # --- starting ----------------------------------------------------------------------------

    def startService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self._master = self.master
        self._reactor = self.master.reactor
        self._threads = self._new_threads("drydock", PROVIDER_THREADS)
        self._planning = self._new_threads("drydock-plan", 1)
        pool = self.master.db.pool
        await upgrade(pool)
        self._closers.append((await self._in_planning_thread(keep_open, pool.engine)).close)
        self._secret = await hooks.cluster_secret(self.master)
        self._surroundings = Surroundings(
            reactor=self._reactor,
            basedir=self.master.basedir,
            thread_pool=self._threads,
            uniform=self._uniform,
            installation=_installation(self._secret),
            derive=self._derive,
            wake=self.wake,
            report=self._report,
            resources=lambda blueprint: self.store.resources_of(blueprint),
        )
        self.metrics = Metrics(self._reactor)
        self._pool = CountedPool(pool, self.metrics.round_trips.inc)
        self._wire(self._pool)
        await self._journal.begin()
        registration.register(self._master)
        folder.publish(self._master)
        await super().startService()
        # Before the first turn could find them expired.
        await self.leases.await_holders(lambda owner: hooks.has_ended(self._master, owner))
        spare_what_stays()
        self._closers.append(gc.unfreeze)
        consumer = await hooks.consume(
            self._master, ("drydock", None, "wake"), self._heard_of_change
        )
        self._start_renewing()
        self.retention.start()
        self._holds.start()
        self._loop.start()
        self.is_ready = True
        self._closers += [
            lambda: Deferred.fromCoroutine(self._announcements.stop()),
            consumer.stopConsuming,
            lambda: self._renewing.stop(),
            self.retention.stop,
            self._holds.stop,
            lambda: Deferred.fromCoroutine(self._catalogue.close()),
            self._calls.abandon,
            self._loop.stop,
        ]

    def _wire(self, pool: Any) -> None:
        clock = self._reactor
        own_times = OwnTimes(clock)
        self.store = SqlStore(pool, own_times)
        self.listings, self._journal = Listings(pool), Journal(pool, clock)
        launches = Launches(self.store, clock, self._uniform)
        self.leases = Leases(
            self.store,
            clock,
            master=self._master.masterid,
            lease_seconds=300.0,  # until the service is configured, a moment later
            new_nonce=lambda: secrets.token_hex(NONCE_BYTES),
            wake=self.wake,
            reasons=lambda number: self.controller.plan.reasons.get(number, ()),
        )
        self.people = People(
            self.store,
            clock,
            new_nonce=lambda: secrets.token_hex(NONCE_BYTES),
            changed=self.leases.lease_changed,
            wake=self.wake,
        )
        shared = hooks.shares_its_queue(self._master)
        self._announcements = Announcements(
            self,
            self._journal,
            clock,
            lambda name, row, event: registration.produce(self._master, name, row, event),
            ours=own_times.__contains__ if shared else lambda time: True,
            counted=lambda event: self.metrics.count(event) if event["at"] in own_times else None,
        )
        self.retention = Retention(pool, clock, master=self._master.masterid)
        self._holds = Holds(clock, self.metrics.holds.observe)
        self._calls = ProviderCalls(
            self.store,
            self._providers,
            CallLog(self._uniform),
            launches,
            clock=clock,
            wake=self.wake,
            lease_changed=self.leases.lease_changed,
        )
        self.maintenance = Maintenance(self.store, clock, self.wake)
        self.approvals = Approvals(self.store, self.wake, self._needing_approval)
        self.strays = Strays(
            self.store, self._calls, self.blueprints, clock, master=self._master.masterid
        )
        executor = Executor(
            self.store,
            self._calls,
            launches,
            clock=clock,
            new_token=lambda: f"drydock-{secrets.token_hex(TOKEN_BYTES)}",
            lease_changed=self.leases.lease_changed,
        )
        self.controller = Controller(
            self.store,
            self._calls,
            executor,
            self.blueprints,
            clock=clock,
            master=self._master.masterid,
            planner=self._plan,
            observed=self.leases.observed,
            sharing=lambda: self.sharing,
        )
        self._loop = Loop(self._turn, lambda: self.controller.plan.wake_at, clock)

    def _new_threads(self, name: str, most: int) -> threadpool.ThreadPool:
        threads = threadpool.ThreadPool(minthreads=0, maxthreads=most, name=name)
        threads.start()
        self._closers.append(lambda: self._end_threads(threads))
        return threads

    def _end_threads(self, threads: threadpool.ThreadPool) -> Deferred[None]:
        """End threads once they have done what they do, or hang."""
        reactor = self._reactor
        ended = deferToThreadPool(reactor, reactor.getThreadPool(), threads.stop)
        ended.addTimeout(THREAD_SECONDS, reactor)
        return ended.addErrback(
            lambda failure: self.log.failure("threads {name} hang", failure, name=threads.name)
        )

    def _start_renewing(self) -> None:
        self._renewing = LoopingCall(self._renew)
        self._renewing.clock = self._reactor
        self._renewing.start(self.renew_interval, now=False)

    def _renew(self) -> Deferred[None]:
        renewed = Deferred.fromCoroutine(self.leases.renew_held())
        return renewed.addErrback(
            lambda failure: self.log.failure("leases could not be renewed", failure)
        )

    # --- turns -------------------------------------------------------------------------------

    def wake(self) -> None:
        """Ask for a turn. May be called from anywhere in the reactor's thread."""
        self._loop.wake()

    async def _turn(self) -> bool:
        began = self._reactor.seconds()
        with self.metrics.failed_turns.count_exceptions():
            changed = await self.controller.turn()
        self.metrics.turns.observe(self._reactor.seconds() - began)
        if changed:
            key = ("drydock", str(self._master.masterid), "wake")
            hooks.produce(self._master, key, {})
        self._see(self.controller.world)
        self.leases.planned()
        self._announcements.nudge()
        return changed

    def _heard_of_change(self, key: tuple[str, ...]) -> None:
        if key[1] != str(self._master.masterid):
            self.wake()

    async def _plan(self, world: World) -> Plan:
        began = self._reactor.seconds()
        rows = len(world.resources) + len(world.leases)
        planned: tuple[Plan, Offers, Census] = await self.work_out(rows, _plan_and_count, world)
        made, self._offers, census = planned
        self.metrics.planning.observe(self._reactor.seconds() - began)
        self.metrics.see(census)
        return made

    def _see(self, world: World) -> None:
        """Take note of what was planned for."""
        self._catalogue.forget_all_but({resource.blueprint for resource in world.resources})
        if not self._spared and hooks.has_started(self._master):
            # What was configured after this service: workers and builders above all.
            self._spared = True
            spare_what_stays()
        assert self._offers is not None
        self.crew.see(world, self.controller.plan, self._offers)

    def is_hopeless(self, demand: Demand, subjects: Subjects) -> bool:
        """Tell whether no blueprint can ever satisfy this, as of the plan that is carried out."""
        return self._offers is not None and self._offers.is_hopeless(demand, subjects)

    async def work_out(self, rows: int, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a pure function here, or in a thread if it is about many rows."""
        if rows < MANY_ROWS:
            return function(*arguments)
        return await self._in_planning_thread(function, *arguments)

    async def _in_planning_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await deferToThreadPool(self._reactor, self._planning, function, *arguments)

    # --- providers ---------------------------------------------------------------------------

    def _report(self, blueprint: str, event: Event) -> None:
        """Store an event of a provider."""
        recorded = Deferred.fromCoroutine(self.store.record(event, blueprint=blueprint))
        recorded.addCallback(lambda _: self._announcements.nudge())
        recorded.addErrback(
            lambda failure: self.log.failure("an event of {name} was lost", failure, name=blueprint)
        )

    # --- what the data API uses --------------------------------------------------------------

    def now(self) -> float:
        seconds: float = self._reactor.seconds()
        return seconds

    def definitions(self) -> dict[str, Definition]:
        """Return the blueprints as configured, by name."""
        return self._catalogue.configured()

    def _needing_approval(self) -> list[str]:
        return [name for name, each in self.definitions().items() if each.fields.needs_approval]

    async def usage(self) -> Usage:
        return await read_usage(self._pool)

    async def spending(self, conditions: Sequence[Condition]) -> list[dict[str, Any]]:
        return await read_spending(self._pool, conditions)

    def is_own(self, master: int | None) -> bool:
        """Tell whether it is for this master to tell of something: it is its own, or nobody's."""
        return master is None or master == self._master.masterid

    # --- what workers use --------------------------------------------------------------------

    def password(self, lease: Lease) -> str:
        """Return what a worker on this lease logs in with; no other lease has the same."""
        message = f"{lease.id}:{lease.nonce}".encode()
        return hmac.new(self._secret.encode(), message, "sha256").hexdigest()

    def _derive(self, purpose: str) -> bytes:
        return hmac.digest(self._secret.encode(), f"provider:{purpose}".encode(), "sha256")

    async def machine_name(self) -> str:
        """Return the name under which other machines know this one. The first call may take long."""
        if not self._machine_name:
            found = deferToThreadPool(self._reactor, self._threads, socket.getfqdn)
            self._machine_name = await found
        return self._machine_name

    async def resource_of(self, lease: Lease) -> Resource:
        """Return the resource of a lease. Raises ``HostUnreachable`` if it has none."""
        found = None if lease.resource is None else await self.store.resource(lease.resource)
        if found is None:
            raise HostUnreachable(f"lease {lease.id} has no resource")
        return found

    def connect(self, resource: Resource) -> Host:
        """Return the way to a host. Raises ``HostUnreachable`` if its blueprint is not known."""
        provider = self._providers.get(resource.blueprint)
        if provider is None:
            raise HostUnreachable(
                f"resource {resource.id} is of blueprint {resource.blueprint!r}, which is not "
                "configured on this master"
            )
        return provider.connect(resource)

    def has_host(self, resource: Resource) -> bool:
        """Tell whether something can run on a resource, as far as its blueprint is known."""
        definition = self._catalogue.definition(resource.blueprint)
        return definition is None or definition.has_host

    def kind_of(self, resource: Resource) -> str:
        """Return the kind of a resource's blueprint; empty if it is not known."""
        definition = self._catalogue.definition(resource.blueprint)
        return "" if definition is None else definition.kind

    def discharge(self, worker: Holder) -> None:
        """Forget a worker: it has stopped for good, and given back what it had."""
        self.crew.discharge(worker)
        self._let_close()

    def _let_close(self) -> None:
        """Close, if that is what is awaited, once nobody has a lease any more."""
        if not self._is_in_use and self._all_discharged is not None:
            waiting, self._all_discharged = self._all_discharged, None
            waiting.callback(None)

    @property
    def _is_in_use(self) -> bool:
        return bool(len(self.crew) or len(self.build_leases))

    # --- stopping ----------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        """Offer nothing more, and close once the workers have given back what they had.

        A master that stops waits for that. A reconfig that removes the service does not: it
        removes the workers only after this, and the service closes when they are gone.
        """
        self.crew.closed = True
        self.is_ready = False
        closing = Deferred.fromCoroutine(self._close())
        if hooks.is_stopping(self._master):
            await closing
        else:
            closing.addErrback(lambda failure: self.log.failure("closing failed", failure))
        if self.running:  # it is not if its start failed
            await super().stopService()

    async def _close(self) -> None:
        if self._is_in_use:
            self._all_discharged = Deferred()
            self._all_discharged.addTimeout(CLOSING_SECONDS, self._reactor)
            try:
                await self._all_discharged
            except TimeoutError:
                self.log.error(
                    "workers and builds did not stop within {seconds} s: {names}",
                    seconds=CLOSING_SECONDS,
                    names=[*self.crew.names(), *self.build_leases.names()],
                )
        while self._closers:
            await maybeDeferred(self._closers.pop())


def spare_what_stays() -> None:
    """Let the garbage collector leave out, from now on, what is in memory already.

    A collection of the oldest generation looks through the whole process, and holds the reactor
    in whichever thread it happens. In a master there is so much to look through, Buildbot's own
    modules and configuration alone, that this takes 20 to 100 ms; and planning for many rows makes
    enough objects to bring it about every few turns. What a started master has in memory stays
    anyway. Objects that are left out are still freed when the last reference to them goes; only
    cycles among them are not, and a master has these once, as it starts.
    """
    gc.collect()
    gc.freeze()


def _installation(secret: str) -> str:
    """Return a name for what shares a secret, from which the secret can't be told."""
    return hashlib.sha256(f"installation:{secret}".encode()).hexdigest()[:16]


def _plan_and_count(world: World) -> tuple[Plan, Offers, Census]:
    made = plan(world)
    return made, Offers(world), take_census(world, made.reasons)
