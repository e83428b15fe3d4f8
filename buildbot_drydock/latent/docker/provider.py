"""The provider of containers: the four verbs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from buildbot_drydock.errors import (
    DrydockError,
    HostError,
    HostUnreachable,
    Misconfigured,
    RetryLater,
)
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.begun_launches import BegunLaunches, Launch
from buildbot_drydock.latent.docker.engines import Engines
from buildbot_drydock.latent.docker.failures import CallFailed, Cause
from buildbot_drydock.latent.docker.fields import labels_of
from buildbot_drydock.latent.docker.judging import Judge
from buildbot_drydock.latent.docker.launching import Launcher, remove
from buildbot_drydock.latent.docker.listing import Container
from buildbot_drydock.latent.docker.requests import Order
from buildbot_drydock.latent.fitness import Fitness, Interpreters, prestart, prestarts_again
from buildbot_drydock.model import Health, Lease, Observed, Resource
from buildbot_drydock.remote.processes import RESOURCE_MARK
from buildbot_drydock.remote.shell.host import ShellHost

if TYPE_CHECKING:
    from buildbot_drydock.latent.docker.engine import Engine

# How long an engine may show a container as running that has ended, and the time between two looks.
_ENDING_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a pool goes by."""

    installation: str
    blueprint: str
    directory: str
    stop_grace: float  # seconds
    memory: int | None = None  # bytes, for each container
    prestarts: bool = False  # whether a Python stands by in a container
    most_uses: int | None = 1  # of a container in which one stands by again after a lease


class DockerProvider:
    """Makes and removes containers. No verb waits for an image that is pulled."""

    log = Logger()

    def __init__(
        self,
        engines: Engines,
        launcher: Launcher,
        interpreters: Interpreters,
        rules: Rules,
        *,
        reactor: Any,  # IReactorTime
        threads: ThreadPool,
        wake: Callable[[], None] = lambda: None,
        closing: Callable[[], object] = lambda: None,
    ) -> None:
        """*threads* are for waiting until those of the engines have ended; *closing* is called
        before."""
        self._engines = engines
        self._launcher = launcher
        self._interpreters = interpreters
        self._rules = rules
        self._reactor = reactor
        self._threads = threads
        self._wake = wake
        self._closing = closing
        self._judge = Judge(reactor, rules.memory)
        self._listed: dict[str, Container] = {}  # as last listed, by id
        self._fitness: dict[str, Fitness] = {}  # by container id
        self._fitting: dict[str, Deferred[None]] = {}
        self._launches = BegunLaunches(reactor, self._tell_news)
        self._has_news = False
        self._closed = False

    # --- inventory ---------------------------------------------------------------------------

    async def inventory(self) -> Sequence[Observed]:
        """List all engines. What is on one that does not answer is told by ``unlisted``."""
        self._has_news = False
        with _translated():
            found = await self._engines.containers()
        self._remember(found)
        observed = [await self._observed(each) for each in found.values()]
        tokens = {each.token for each in found.values()}
        return [*observed, *self._observed_launches(tokens)]

    def has_news(self) -> bool:
        return self._has_news

    def _tell_news(self) -> None:
        """Have the engines listed soon, as something has changed there."""
        if not self._closed:
            self._has_news = True
            self._wake()

    def unlisted(self) -> Collection[str]:
        return self._engines.unlisted

    @property
    def _ours(self) -> tuple[str, str]:
        return self._rules.installation, self._rules.blueprint

    def _remember(self, found: dict[str, Container]) -> None:
        """Take a listing for what there is, but for the engines that could not be listed."""
        hidden = {k: v for k, v in self._listed.items() if v.engine in self._engines.unlisted}
        self._listed = {**hidden, **found}
        for known in (self._fitness, self._fitting):
            for number in [each for each in known if each not in self._listed]:
                known.pop(number, None)
        self._judge.forget_all_but(self._listed.keys())

    # --- how each fares ------------------------------------------------------------------------

    async def _observed(self, container: Container) -> Observed:
        engine = self._engine_of(container)
        seen = Observed(
            token=container.token,
            identity=container.id,
            created_at=container.created_at,
            address=container.engine,
            health=Health.STARTING,
            data={"container": container.short},
        )
        launch = self._launches.get(container.token)
        if launch is not None and launch.failure is not None:
            return replace(seen, health=Health.FAILING, reason=str(launch.failure))
        if container.is_made or container.is_running:
            return self._coming(container, seen)
        reason = await self._judge.why_ended(engine, container)
        return replace(seen, health=Health.FAILING, reason=reason)

    def _engine_of(self, container: Container) -> Engine:
        engine = self._engines.get(container.engine)
        assert engine is not None
        return engine

    def _coming(self, container: Container, seen: Observed) -> Observed:
        fitness = self._fitness.get(container.id)
        if fitness is not None and fitness.failure is not None:
            return replace(seen, health=Health.FAILING, reason=str(fitness.failure))
        if container.is_running and fitness is not None and fitness.python:
            data = {**seen.data, "python": fitness.python}
            return replace(seen, health=Health.READY, data=data)
        if not self._launches.is_under_way(container.token):
            self._adopt(container)
        doing = "is looked at" if container.is_running else "is being started"
        return replace(seen, reason=f"container {container.short} {doing}")

    def _observed_launches(self, listed: Collection[str]) -> Iterator[Observed]:
        """Yield what is being made and is not listed yet, or could not be made."""
        for token, launch in self._launches.items():
            if token in listed or (launch.is_over and launch.failure is None):
                continue
            if launch.failure is not None:
                health, reason = Health.FAILING, str(launch.failure)
            else:
                engine = self._engines.get(launch.address)
                pulls = engine is not None and self._launcher.is_pulling(engine)
                health, reason = Health.STARTING, "its image is being pulled" if pulls else ""
            yield Observed(token=token, health=health, created_at=launch.since, reason=reason)

    def _adopt(self, container: Container) -> None:
        """See to a container whose launch is not known here, as after a crash."""
        if self._closed or container.id in self._fitting:
            return
        engine = self._engine_of(container)

        async def seen_to() -> None:
            if container.is_made:
                await self._launcher.start(engine, container.id)
            await self._make_fit(engine, container.id, container.token, container.image)

        fitting = Deferred.fromCoroutine(seen_to())
        self._fitting[container.id] = fitting

        def over(outcome: Any) -> None:
            self._fitting.pop(container.id, None)
            self._tell_news()

        def failed(failure: Any) -> None:
            error = failure.value
            if isinstance(error, CallFailed):
                error = error.error
            if not isinstance(error, DrydockError):
                self.log.failure("container {id}", failure, id=container.short)
                return
            if not isinstance(error, HostUnreachable | RetryLater):
                self._fitness[container.id] = Fitness(failure=error)

        fitting.addErrback(failed)
        fitting.addBoth(over)

    async def _make_fit(self, engine: Engine, number: str, token: str, image: str) -> None:
        python = await self._interpreters.prepared(self._host(engine, number, token), image)
        self._fitness[number] = Fitness(python=python)

    async def _make_new_fit(self, engine: Engine, number: str, token: str, image: str) -> None:
        """Likewise, for a container that no lease has used yet."""
        if not self._rules.prestarts:
            await self._make_fit(engine, number, token, image)
            return
        python = await self._interpreters.prestarted(self._host(engine, number, token), image)
        self._fitness[number] = Fitness(python=python)

    # --- create --------------------------------------------------------------------------------

    async def create(self, token: str, spec: HostSpec) -> None:
        """Have a container made, started and looked at; nothing if there is one."""
        if any(each.token == token for each in self._listed.values()):
            return
        order = Order(
            installation=self._rules.installation,
            blueprint=self._rules.blueprint,
            token=token,
            place=spec.place,
        )

        async def begin(launch: Launch) -> None:
            with _translated():
                await self._launch(launch, order)

        await self._launches.awaited(token, begin)

    async def _launch(self, launch: Launch, order: Order) -> None:
        def chosen(engine: Engine) -> None:
            launch.address = engine.url

        engine, number = await self._launcher.launch(order, self._by_room(), chosen)
        if launch.is_doomed or self._closed:
            return
        found: Any = await engine.call(
            f"look at container {number[:12]}", lambda client: client.inspect_container(number)
        )
        image = str(found.get("Image") or "")
        try:
            await self._make_new_fit(engine, number, order.token, image)
        except HostUnreachable:
            await self._require_command(engine, number, order.token)

    async def _require_command(self, engine: Engine, number: str, token: str) -> None:
        """Raise what it means that a container ended by itself at once. Of others the listing tells."""
        ended = await self._ended(engine, number, token)
        if ended is None:
            return
        reason = await self._judge.why_ended(engine, ended)
        if self._judge.ended_by_itself(number):
            raise Misconfigured(
                f"{reason}\nRemedy: give command what keeps the container running, or leave it out"
            )

    async def _ended(self, engine: Engine, number: str, token: str) -> Container | None:
        """Return a container in which nothing can be run, once its engine shows that it has ended.

        That may be a moment later. Returns None for one that runs on, or is gone.
        """
        until = self._reactor.seconds() + _ENDING_SECONDS
        while True:
            listed = await self._engines.ask(engine, labels_of(*self._ours, token))
            found = {each.id: each for each in listed}.get(number)
            if found is None or not (found.is_made or found.is_running):
                return found
            if self._closed or self._reactor.seconds() >= until:
                return None
            await deferLater(self._reactor, _LOOK_SECONDS)

    def _by_room(self) -> list[Engine]:
        """Return the engines to be tried, the emptiest first; those that rest last."""
        used = {each.url: 0 for each in self._engines}
        tokens = {}
        for each in self._listed.values():
            tokens[each.token] = each.engine
        for token, launch in self._launches.items():
            if launch.address and token not in tokens:
                tokens[token] = launch.address
        for url in tokens.values():
            used[url] += 1
        room = [each for each in self._engines if each.limit is None or used[each.url] < each.limit]
        return sorted(room, key=lambda engine: (engine.rests, used[engine.url]))

    # --- destroy -------------------------------------------------------------------------------

    async def destroy(self, token: str, identity: str = "") -> None:
        """Remove all containers of a token, or one. An engine that may have one has to answer."""
        if not identity:
            self._launches.doom(token)
        with _translated():
            for engine in self._where(token, identity):
                await self._remove_from(engine, token, identity)

    def _where(self, token: str, identity: str) -> list[Engine]:
        """Return the engines that have something of a token, or all if that is not known."""
        known = {
            each.engine
            for each in self._listed.values()
            if each.token == token and identity in ("", each.id)
        }
        launch = self._launches.get(token)
        if launch is not None and launch.address:
            known.add(launch.address)
        return [each for each in self._engines if not known or each.url in known]

    async def _remove_from(self, engine: Engine, token: str, identity: str) -> None:
        for each in await self._engines.ask(engine, labels_of(*self._ours, token)):
            if identity in ("", each.id):
                await remove(engine, each.id)
                self._listed.pop(each.id, None)
                self._tell_news()

    # --- what runs there -----------------------------------------------------------------------

    def connect(self, resource: Resource) -> ShellHost:
        """Return the way into a container. Raises ``HostUnreachable`` if its engine is not listed."""
        engine = self._engines.get(resource.address)
        if engine is None or self._closed:
            raise HostUnreachable(
                f"the engine {resource.address or 'without a name'} of resource {resource.id} is not "
                "in hosts"
            )
        return self._host(engine, resource.identity, resource.token)

    def _host(self, engine: Engine, number: str, token: str) -> ShellHost:
        return ShellHost(
            engine.machine(number, f"container {number[:12]}"),
            self._rules.directory,
            marks={RESOURCE_MARK: token},
            grace_seconds=self._rules.stop_grace,
        )

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        """End what a lease left. What ran in a container that has ended has ended with it."""
        host = self.connect(resource)
        try:
            await host.stop(lease.tag)
        except HostError:
            if await self._runs(resource):
                raise
            return
        if self._rules.prestarts and prestarts_again(resource, self._rules.most_uses):
            try:
                await prestart(host, resource.data["python"])
            except HostError as error:
                self.log.info("{shown}: {e}", shown=resource.token, e=error)  # it spares time only

    async def _runs(self, resource: Resource) -> bool:
        engine = self._engines.get(resource.address)
        assert engine is not None
        with _translated():
            try:
                found: Any = await engine.call(
                    "look at a container",
                    lambda client: client.inspect_container(resource.identity),
                )
            except CallFailed as failed:
                if failed.cause is Cause.ABSENT:
                    return False
                raise
        return bool(found["State"].get("Running"))

    def heard(self, engine: Engine, is_contact_lost: bool) -> None:
        """Take note that something happened on an engine, or that it stopped telling."""
        if is_contact_lost:
            engine.lost_contact()
        self._tell_news()

    async def close(self) -> None:
        """Make no more calls. What runs goes on."""
        self._closed = True
        self._closing()
        closing = [Deferred.fromCoroutine(each.close(self._threads)) for each in self._engines]
        await DeferredList(closing, consumeErrors=True)

    @property
    def is_working(self) -> bool:
        """Whether anything is under way in the background."""
        return bool(self._fitting) or self._launches.are_under_way


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except CallFailed as failed:
        raise failed.error from failed
