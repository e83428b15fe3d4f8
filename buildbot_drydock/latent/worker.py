"""A Buildbot latent worker that works on whatever host it is leased.

Buildbot's ``AbstractLatentWorker`` drives it: ``start_instance`` takes a lease and starts
``buildbot-worker`` on the leased host, ``stop_instance`` ends that process and gives the lease
back. What the base class gets wrong is put right here: all waiting is cancellable and bounded,
failed starts of one build come to an end, a connection that was lost may come back, and a restarted
master takes up the leases and the processes that it left.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from buildbot import config
from buildbot.interfaces import (
    LatentWorkerFailedToSubstantiate,
    LatentWorkerSubstantiatiationCancelled,
)
from buildbot.worker.latent import AbstractLatentWorker
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock.authorization import Subjects, subjects_of_build
from buildbot_drydock.errors import DrydockError, LeaseBroken
from buildbot_drydock.events import ResourceGivenNotice
from buildbot_drydock.latent import badges
from buildbot_drydock.latent.attempts import Attempts
from buildbot_drydock.latent.starting import Hopeless, StartFailed, verdict, waited_in_vain
from buildbot_drydock.latent.tenancy import Tenancy, release
from buildbot_drydock.latent.terms import (
    POSITIVE,
    Terms,
    is_fixed,
    rendered_labels,
    split_terms,
)
from buildbot_drydock.latent.uses import Uses
from buildbot_drydock.latent.waiting import TookTooLong, uninterrupted, within
from buildbot_drydock.model import Labels, Lease, Notice, Resource
from buildbot_drydock.offers import Demand, demand_of
from buildbot_drydock.policy import meets

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

UNTOLD_BYTES: Final = 16  # of a password that nobody is told
FOR_EVER: Final = 10 * 365 * 86400.0


class DrydockWorker(AbstractLatentWorker):
    """``DrydockWorker('linux-001', requires={'os': 'debian'})``; see ``Terms`` for its options.

    All other arguments are those of Buildbot's latent workers.
    """

    log = Logger()
    terms = Terms()
    builds_may_be_incompatible = True  # so that isCompatibleWithBuild is asked

    def __init__(self, name: str, **arguments: Any) -> None:
        self._lease: Lease | None = None  # from its request on, until it is given back
        self._tenancy: Tenancy | None = None  # once the lease is active
        self._starting: Deferred[bool] | None = None
        self._attempt: object = None  # tells one start from the next
        self._known_service: DrydockService | None = None
        self._requests: tuple[int, ...] = ()  # the build requests that it is being started for
        self._returning = False  # it should come back by itself
        self._leaving = False  # it takes no further build before it is stopped
        self._notice: Notice | None = None  # its host is to end
        self._loss = ""  # why somebody else ended the lease
        self._end = ""  # why the lease is given back, if something went wrong
        self._fault = ""  # why its host could not be used
        self._uses = Uses()
        super().__init__(name, **arguments)

    # --- configuration -----------------------------------------------------------------------

    def checkConfig(self, name: str, **arguments: Any) -> None:
        terms, others = split_terms(arguments)
        for option in POSITIVE:
            if not getattr(terms, option) > 0:
                config.error(f"worker {name!r}: {option} must be more than 0")
        try:
            if is_fixed(terms.requires):
                rendered_labels(terms.requires)
        except Hopeless as error:
            config.error(f"worker {name!r}: {error}")
        super().checkConfig(name, None, missing_timeout=None, **others)

    def reconfigService(self, name: str, **arguments: Any) -> Deferred[Any]:
        self.terms, others = split_terms(arguments)
        idle_time = self.terms.build_wait_timeout
        configured: Deferred[Any] = super().reconfigService(
            name,
            self._login_password(),
            build_wait_timeout=FOR_EVER if idle_time < 0 else idle_time,
            # Buildbot's own timer runs from the choice of a build: see Terms for ours.
            missing_timeout=None,
            **others,
        )
        return configured

    @property
    def service(self) -> DrydockService:
        if not self._has_service:
            raise Hopeless(
                f"there is no service named {self.terms.service!r}: "
                "add Drydock(...) to c['configurators']"
            )
        assert self._known_service is not None
        return self._known_service

    @property
    def _has_service(self) -> bool:
        """Tell whether there is, or was, a service: one that left still takes leases back."""
        found = hooks.service_named(self.master, self.terms.service)
        self._known_service = found or self._known_service
        return self._known_service is not None

    @property
    def owner(self) -> str:
        """Who its leases belong to, together with the number of its master."""
        return f"worker/{self.name}"

    @property
    def demand(self) -> Demand:
        return self.terms.demand

    @property
    def builders(self) -> frozenset[str]:
        return hooks.builders_of(self)

    @property
    def askers(self) -> list[Subjects]:
        projects = hooks.projects_of_builders(self)
        return [subjects_of_build(name, project) for name, project in projects.items()]

    def _subjects(self, builder: str) -> Subjects:
        """Return in whose name a lease for a builder's build is asked for."""
        return subjects_of_build(builder, hooks.projects_of_builders(self).get(builder))

    def _login_password(self) -> str:
        if self._tenancy is None:
            return str(self.getRandomPass())  # nobody is told
        return self._tenancy.password

    # --- the life of the service -------------------------------------------------------------

    def startService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start_service())

    async def _start_service(self) -> None:
        self.terms, _ = split_terms(self._config_kwargs)
        await hooks.forget_stale_connection(self)
        await self._adopt()
        await super().startService()
        if self._has_service:
            self.service.crew.enlist(self)
        if self._returning:
            self._limit_return()

    async def _adopt(self) -> None:
        """Take up the lease that this worker had before its master was restarted."""
        if not self._has_service:
            return
        leases = self.service.leases
        lease = await leases.adopt(self.owner)
        if lease is None:
            return
        try:
            tenancy = await self._move_in(lease)
            leases.hold(lease.id, self._lost, self._warned)
        except DrydockError as error:
            await leases.release(lease.id, f"it could not be taken up again: {error}")
            return
        self._lease, self._tenancy = lease, tenancy
        self._returning = True
        hooks.expect_connection(self)
        self.log.info(
            "worker {name} takes up lease {lease} on resource {resource}",
            name=self.name,
            lease=lease.id,
            resource=tenancy.resource.id,
        )

    def stopService(self) -> Deferred[Any]:
        self._cancel_start()
        stopping: Deferred[Any] = super().stopService()
        return stopping.addBoth(self._stopped)

    def _stopped(self, result: Any) -> Any:
        if self._known_service is not None:
            self._known_service.discharge(self)
        return result

    # --- which builds it takes ---------------------------------------------------------------

    def canStartBuild(self) -> bool:
        if self._returning or self._leaving or hooks.lost_its_connection(self):
            return False
        if self._notice is not None:
            return False
        if hooks.is_being_stopped(self):
            return False  # the builders are woken when it has been
        if not super().canStartBuild():
            return False
        return not hooks.is_at_rest(self) or self._is_offered()

    @property
    def has_lease(self) -> bool:
        return self._lease is not None or self._starting is not None

    @property
    def idle_on(self) -> Resource | None:
        if not hooks.is_attached(self) or self.building or self._leaving:
            return None
        return None if self._tenancy is None else self._tenancy.resource

    def is_willing(self) -> bool:
        return hooks.is_idle(self) and bool(super().canStartBuild())

    def is_warm(self) -> bool:
        return self.idle_on is not None and bool(super().canStartBuild())

    def _is_offered(self) -> bool:
        if not hooks.is_idle(self):
            return False  # it was shut down
        if not self._has_service:
            return True  # the build fails, and says why
        return self.service.crew.offers(self)

    def isCompatibleWithBuild(self, build_props: Any) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._fits(build_props))

    async def _fits(self, properties: Any) -> bool:
        """Tell whether the host it has, or one it could get, is what a build requires."""
        if not self._has_service:
            return True  # the build fails, and says why
        try:
            requires = rendered_labels(await properties.render(self.terms.requires))
        except Exception:  # noqa: BLE001 - a user's renderable may raise anything
            self.log.failure("worker {name}: requires cannot be rendered", name=self.name)
            return True  # likewise
        subjects = self._subjects(str(properties.getProperty("buildername")))
        crew = self.service.crew
        if self._tenancy is not None:
            resource = self._tenancy.resource
            return meets(resource.labels, requires) and crew.may_use(self, resource, subjects)
        demand = demand_of(self.terms.type, requires, self.terms.blueprints)
        return crew.may_start(self, requires, demand, subjects)

    def buildStarted(self, wfb: Any) -> None:
        if hooks.is_at_rest(self) and self._has_service:
            self.service.crew.promise(self)
        super().buildStarted(wfb)

    def buildFinished(self, wfb: Any) -> None:
        """Go on, wait for the next build, or stop.

        Buildbot's latent worker stops ``build_wait_timeout=0`` workers a moment later whatever
        they do by then, and lets the next build begin before that.
        """
        if self._has_service:
            ended = self._uses.end(self.service.leases, wfb)
            if ended is not None:
                hooks.in_background(self, ended)
        if hooks.forget_lost_builders(self):
            hooks.in_background(self, self.updateWorker())
        if not self.building:
            self._idle()
        hooks.build_finished(self, wfb)

    def _idle(self) -> None:
        if hooks.is_attached(self):
            if self._should_leave():
                self.make_way()
            else:
                hooks.start_idle_timer(self)
        elif hooks.lost_its_connection(self):
            self._await_return()
        elif hooks.is_at_rest(self) and self._has_service:
            self.service.crew.forget_promise(self)

    def _should_leave(self) -> bool:
        if self.build_wait_timeout == 0 or hooks.wants_graceful_stop(self):
            return True
        if self._notice is not None or self._tenancy is None:
            return self._notice is not None
        return self.service.crew.is_wanted(self, self._tenancy.resource)

    def make_way(self) -> None:
        """Stop and give the lease back; no build comes in between.

        While that is under way already, to ask for it again would stop the next start.
        """
        if self._leaving:
            return
        self._leaving = True
        self.master.reactor.callLater(0, self._stop_in_background)

    def _stop_in_background(self) -> None:
        hooks.in_background(self, hooks.stop_when_idle(self))

    def updateWorker(self) -> Deferred[Any]:
        hooks.forget_lost_builders(self)
        updated: Deferred[Any] = super().updateWorker()
        return updated

    # --- starting ----------------------------------------------------------------------------

    def substantiate(self, wfb: Any, build: Any) -> Deferred[bool]:
        """Be ready for a build: Buildbot asks for that before each, of a connected worker as well."""
        substantiated: Deferred[bool] = super().substantiate(wfb, build)
        return substantiated.addCallback(self._is_used, wfb, build)

    def _is_used(self, ready: bool, wfb: Any, build: Any) -> bool:
        if ready and self._lease is not None and build is not None:
            number, builder = hooks.identify_build(build)
            lease = self._lease.id
            begun = self._uses.begin(self.service.leases, wfb, lease, number, builder)
            hooks.in_background(self, begun)
        if ready and self._tenancy is not None and build is not None:
            marked = badges.mark(build, self.master, self._tenancy)
            hooks.in_background(self, Deferred.fromCoroutine(marked))
        return ready

    def start_instance(self, build: Any) -> Deferred[bool]:
        self._requests = hooks.request_numbers(build)
        self._loss = self._end = self._fault = ""
        self._attempt = object()
        starting: Deferred[bool] = Deferred.fromCoroutine(self._start(build))
        self._starting = starting
        return starting.addBoth(self._started)

    def _started(self, result: Any) -> Any:
        self._starting = self._attempt = None
        return result

    def _cancel_start(self) -> None:
        if self._starting is not None:
            self._starting.cancel()

    async def _start(self, build: Any) -> bool:
        lease = await self._obtain_lease(build)
        self._lease = lease
        self._tenancy = await self._move_in(lease)
        await uninterrupted(hooks.set_password(self, self._tenancy.password))
        await self._tenancy.start(self.name, hooks.login_port(self))
        hooks.start_missing_timer(self, self.terms.login_timeout)
        return True

    async def _obtain_lease(self, build: Any) -> Lease:
        requires = await self._render(build)
        leases = self.service.leases
        requested = await uninterrupted(self._request(build, requires))
        self.service.crew.keep_promise(self, requested.id)
        try:
            return await within(
                self.master.reactor,
                self.terms.missing_timeout,
                leases.when_active(requested.id),
                "waiting for a lease",
            )
        except LeaseBroken as error:
            demand = demand_of(self.terms.type, requires, self.terms.blueprints)
            if self.service.is_hopeless(demand, self._subjects_of(build)):
                raise Hopeless(str(error)) from None
            raise StartFailed(str(error)) from None
        except TookTooLong as error:
            reasons = leases.reasons(requested.id)
            raise waited_in_vain(str(error), reasons, self.master.reactor.seconds()) from None

    async def _request(self, build: Any, requires: Labels) -> Lease:
        """Ask for a lease; ``stop_instance`` releases it, unless the start was given up before."""
        attempt = self._attempt
        lease = await self.service.leases.request(
            owner=self.owner,
            type=self.terms.type,
            requires=requires,
            blueprints=self.terms.blueprints,
            priority=self.terms.priority + hooks.priority_of(build),
            attributes=hooks.describe_build(build),
            subjects=self._subjects_of(build),
        )
        if self._attempt is not attempt:
            await self.service.leases.release(lease.id, "it was asked for in vain")
        else:
            self._lease = lease
            self.service.leases.hold(lease.id, self._lost, self._warned)
        return lease

    def _subjects_of(self, build: Any) -> Subjects:
        return () if build is None else self._subjects(str(build.builder.name))

    async def _render(self, build: Any) -> Labels:
        if build is None:
            return rendered_labels(self.terms.requires) if is_fixed(self.terms.requires) else {}
        return rendered_labels(await build.render(self.terms.requires))

    async def _move_in(self, lease: Lease) -> Tenancy:
        return await Tenancy.move_in(self.service, self.terms, self.master.reactor, lease)

    # --- failing to start --------------------------------------------------------------------

    def _substantiation_failed(self, failure: Any) -> Deferred[Any] | None:
        """Give up a start; all that can go wrong with one comes here."""
        failed: Deferred[Any] | None = super()._substantiation_failed(self._verdict(failure))
        return failed

    def _verdict(self, failure: Any) -> Failure:
        """Decide whether the build is tried again, and say why not."""
        error: Any = failure.value if isinstance(failure, Failure) else failure
        if isinstance(error, CancelledError) and self._loss:
            error = StartFailed(self._loss)
        if isinstance(error, CancelledError):
            self._end = "its start was given up"
            return Failure(LatentWorkerSubstantiatiationCancelled(self._end))
        expected = StartFailed | DrydockError | LatentWorkerFailedToSubstantiate | LookupError
        if not isinstance(error, expected):
            self.log.failure("a bug while starting worker {name}", failure, name=self.name)
        self._end = f"its start failed: {error}"
        if self._tenancy is not None and not self._loss:
            self._fault = str(error)
        attempts = self.service.attempts if self._has_service else Attempts()
        most = self.terms.max_start_attempts
        return Failure(verdict(error, attempts, self._requests, most=most))

    def _missing_timer_fired(self) -> None:
        self.missing_timer = None
        hooks.in_background(self, Deferred.fromCoroutine(self._give_up_waiting()))

    async def _give_up_waiting(self) -> None:
        tenancy, returning = self._tenancy, self._returning
        if tenancy is None:
            return
        words = await tenancy.about_silence()
        if tenancy is not self._tenancy or not hooks.awaits_connection(self):
            return
        seconds = self.terms.reconnect_timeout if returning else self.terms.login_timeout
        what = "did not come back" if returning else "did not log in"
        self._substantiation_failed(
            StartFailed(f"buildbot-worker {what} within {seconds:.0f} s; {words}")
        )

    def check_instance(self) -> Deferred[tuple[bool, str]]:
        """Called every few seconds while it should be logging in."""
        return Deferred.fromCoroutine(self._check_process())

    async def _check_process(self) -> tuple[bool, str]:
        tenancy = self._tenancy
        if tenancy is None or await tenancy.may_be_running():
            return True, ""
        return False, f"buildbot-worker ended; {await tenancy.last_words()}"

    # --- being connected ---------------------------------------------------------------------

    def attached(self, conn: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(self._attached(conn))

    async def _attached(self, conn: Any) -> None:
        if self._tenancy is not None:
            hooks.tell_access(conn, badges.lease_url(self.master, self._tenancy.lease.id))
        await super().attached(conn)
        if not hooks.is_attached(self) or self._leaving:
            return
        self._returning = False
        if self._has_service:
            self.service.attempts.forget(self._requests)
        self._requests = ()
        if self._tenancy is not None:
            hooks.in_background(self, Deferred.fromCoroutine(self._tenancy.trust()))
        if not self.building:
            self._idle()
            hooks.wake_builders_of(self.master, self.name)

    def detached(self) -> Deferred[Any]:
        detached: Deferred[Any] = super().detached()
        if not self.building:
            self._await_return()
        return detached

    def _await_return(self) -> None:
        """Let a process whose connection was lost come back, for a while."""
        if self._leaving or self._loss or not hooks.lost_its_connection(self):
            return
        if self._tenancy is None or self.build_wait_timeout == 0 or self._notice is not None:
            self.make_way()
            return
        self._returning = True
        hooks.expect_connection(self)
        self._limit_return()

    def _limit_return(self) -> None:
        hooks.watch_process(self)
        hooks.start_missing_timer(self, self.terms.reconnect_timeout)

    def _lost(self, lease: Lease) -> None:
        """Somebody else ended the lease, or its host was lost: drop what runs on it."""
        self._loss = f"lease {lease.id} was lost: {lease.reason or lease.status.value}"
        self.log.warn("worker {name}: {loss}", name=self.name, loss=self._loss)
        if self._starting is not None:
            self._cancel_start()
        elif not hooks.is_at_rest(self) and not hooks.is_being_stopped(self):
            self._stop_in_background()

    def _warned(self, lease: Lease, notice: Notice) -> None:
        """Its host is to end: go on with the build that runs there, and take no other one."""
        self._notice = notice
        text = ResourceGivenNotice.of(notice, self.master.reactor.seconds()).sentence()
        self.log.warn(
            "worker {name}, resource {resource}: {text}",
            name=self.name,
            resource=lease.resource,
            text=text,
        )
        hooks.in_background(
            self, Deferred.fromCoroutine(hooks.tell_builds(self, badges.NOTICE, text))
        )
        at_work = self.building or self._starting is not None
        if not (at_work or hooks.is_at_rest(self) or hooks.is_being_stopped(self)):
            self.make_way()

    # --- stopping ----------------------------------------------------------------------------

    def insubstantiate(
        self, fast: bool = False, force_substantiation_build: Any = None
    ) -> Deferred[Any]:
        self._cancel_start()
        stopped: Deferred[Any] = super().insubstantiate(fast, force_substantiation_build)
        return stopped

    def _soft_disconnect(self, fast: bool = False, stopping_service: bool = False) -> Deferred[Any]:
        self._leaving = not hooks.is_at_rest(self)
        stopped: Deferred[Any] = super()._soft_disconnect(fast, stopping_service)
        return stopped

    def stop_instance(self, fast: bool = False) -> Deferred[bool]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> bool:
        """Give everything back. Never raises, and never takes longer than its limits."""
        self.stopMissingTimer()
        lease, tenancy = self._lease, self._tenancy
        stays = self._stays_over_restart()
        self._lease = self._tenancy = self._notice = None
        if not stays:
            await self._refuse_logins()
        if tenancy is not None and self._fault:
            await tenancy.blame(self._fault)
        reason = self._loss or self._end or f"worker {self.name} needs it no more"
        if lease is None:
            pass  # nothing was begun
        elif stays:
            self.service.leases.drop(lease.id)
        elif tenancy is None:
            await release(self.service, self.terms, self.master.reactor, lease, reason)
        elif self._loss:
            await tenancy.release(reason)
        else:
            await tenancy.end(reason)
        self._returning = self._leaving = False
        if self._has_service:
            self.service.crew.forget_promise(self)
        hooks.forget_graceful_stop(self)
        return True

    async def _refuse_logins(self) -> None:
        """Until the next lease. A process may be left on a host that is out of reach.

        Were it let in before the next start, it could be taken for the one of the next lease.
        """
        # Buildbot's getRandomPass would return the old one again.
        await hooks.set_password(self, secrets.token_hex(UNTOLD_BYTES))

    def _stays_over_restart(self) -> bool:
        started = self._tenancy is not None and self._starting is None and not self._end
        return (
            self.terms.keep_on_shutdown
            and started
            and not self._loss
            and hooks.is_stopping(self.master)
        )

    # --- asked to stop by a person -----------------------------------------------------------

    def shutdownRequested(self) -> None:
        """Finish what is being built, then give the lease back; later builds begin anew."""
        if hooks.is_at_rest(self):
            return
        hooks.stop_gracefully(self)
        if not self.building:
            self.make_way()

    def shutdown(self) -> None:
        """Stop at once; a build that is running is tried again."""
        if not hooks.is_at_rest(self):
            self._stop_in_background()
