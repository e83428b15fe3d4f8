"""The provider of pods: the four verbs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
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
from buildbot_drydock.latent.fitness import Fitness, Interpreters, prestart, prestarts_again
from buildbot_drydock.latent.kubernetes.explaining import Explanations
from buildbot_drydock.latent.kubernetes.failures import CallFailed, Cause
from buildbot_drydock.latent.kubernetes.fields import as_selector, labels_of
from buildbot_drydock.latent.kubernetes.judging import Judgement, Told, judged
from buildbot_drydock.latent.kubernetes.launching import Launcher
from buildbot_drydock.latent.kubernetes.listing import Pod, pod_of, pods_in
from buildbot_drydock.latent.kubernetes.nodes import Nodes
from buildbot_drydock.latent.kubernetes.requests import Order, deletion, is_ours
from buildbot_drydock.model import Health, Lease, Observed, Resource
from buildbot_drydock.remote.processes import RESOURCE_MARK
from buildbot_drydock.remote.shell.host import ShellHost

if TYPE_CHECKING:
    from buildbot_drydock.latent.kubernetes.cluster import Cluster

# A pod that is coming is looked at that often, even if the cluster tells nothing of it.
_LOOK_SECONDS: Final = 10.0
# A cluster tells that a pod has ended this long after nothing can be run in it, at the latest.
_ENDING_SECONDS: Final = 5.0
# A pod that nothing can be run in, although it runs, is tried again after that.
_AGAIN_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a blueprint goes by. Times are in seconds."""

    installation: str
    blueprint: str
    directory: str
    stop_grace: float
    unschedulable_timeout: float = 0.0
    prestarts: bool = False  # whether a Python stands by in a pod
    most_uses: int | None = 1  # of a pod in which one stands by again after a lease


class KubernetesProvider:
    """Makes and deletes pods. No verb waits until an image is pulled."""

    log = Logger()

    def __init__(
        self,
        cluster: Cluster,
        launcher: Launcher,
        interpreters: Interpreters,
        explanations: Explanations,
        nodes: Nodes,
        rules: Rules,
        *,
        reactor: Any,  # IReactorTime
        threads: ThreadPool,
        trouble: Callable[[], DrydockError | None] = lambda: None,
        wake: Callable[[], None] = lambda: None,
        closing: Callable[[], object] = lambda: None,
    ) -> None:
        """*trouble* returns why nothing is heard of changes, if that is somebody's to put right.

        *threads* are for waiting until those of the cluster have ended; *closing* is called before.
        """
        self._cluster = cluster
        self._launcher = launcher
        self._interpreters = interpreters
        self._explanations = explanations
        self._nodes = nodes
        self._rules = rules
        self._reactor = reactor
        self._threads = threads
        self._trouble = trouble
        self._wake = wake
        self._closing = closing
        self._listed: dict[str, Pod] = {}  # as last listed or heard of, by uid
        self._ending: set[str] = set()  # uids of those that we have asked to be deleted
        self._fitness: dict[str, Fitness] = {}  # by uid
        self._fitting: dict[str, Deferred[None]] = {}
        self._waiting: dict[str, list[Deferred[None]]] = {}  # for a change, by uid
        self._pauses: set[Deferred[None]] = set()
        self._launches = BegunLaunches(reactor, self._tell_news)
        self._has_news = False
        self._closed = False

    # --- inventory ---------------------------------------------------------------------------

    async def inventory(self) -> Sequence[Observed]:
        """List the pods of the blueprint, as they are now."""
        self._has_news = False
        trouble = self._trouble()
        if trouble is not None:
            raise trouble
        before = dict(self._listed)
        with _translated():
            items = await self._cluster.pods(as_selector(labels_of(*self._ours)))
        found = {each.uid: each for each in pods_in(items)}
        gone = [each for uid, each in before.items() if uid not in found]
        ended = [await self._taken_away(each) for each in gone if each.uid not in self._ending]
        # What was made meanwhile may be missing in the listing.
        self._remember({k: v for k, v in self._listed.items() if k not in before} | found)
        observed = [await self._observed(each) for each in found.values()]
        self._nodes.note(found.values(), self._reactor.seconds())
        tokens = {each.token for each in found.values()}
        return [*observed, *ended, *self._observed_launches(tokens)]

    def has_news(self) -> bool:
        return self._has_news

    def _tell_news(self) -> None:
        """Have the pods listed soon, as something has changed there."""
        if not self._closed:
            self._has_news = True
            self._wake()

    @property
    def _ours(self) -> tuple[str, str]:
        return self._rules.installation, self._rules.blueprint

    def _remember(self, found: dict[str, Pod]) -> None:
        self._listed = found
        for known in (self._fitness, self._fitting):
            for uid in [each for each in known if each not in found]:
                known.pop(uid, None)
        self._ending.intersection_update(found)

    async def _taken_away(self, pod: Pod) -> Observed:
        """Return what is told, once, of a pod that somebody else has deleted."""
        if pod.is_leaving:
            self._explanations.ask_again(pod.uid)
            await self._why(pod)
        reason = self._explanations.forget(pod.uid)
        reason = reason or f"pod {pod.name} was deleted by somebody else"
        return Observed(token=pod.token, identity=pod.uid, has_ended=True, end_reason=reason)

    # --- how each fares ------------------------------------------------------------------------

    async def _observed(self, pod: Pod) -> Observed:
        container = self._launcher.container
        seen = Observed(
            token=pod.token,
            identity=pod.uid,
            created_at=pod.created_at,
            address=pod.node,
            health=Health.STARTING,
            data={"pod": pod.name, "namespace": self._cluster.namespace},
        )
        launch = self._launches.get(pod.token)
        if launch is not None and launch.failure is not None:
            return replace(seen, health=Health.FAILING, reason=str(launch.failure))
        judgement = self._judged(pod)
        if judgement.wants_log or judgement.wants_events:
            told = await self._explanations.told(pod, container, judgement)
            judgement = self._judged(pod, told)
        if not judgement.runs:
            if judgement.health is Health.FAILING:
                self._explanations.keep(pod, judgement.reason)
            return replace(seen, health=judgement.health, reason=judgement.reason)
        if judgement.is_losing_its_node:
            seen = replace(seen, end_reason=judgement.reason)
        return self._running(pod, seen)

    def _judged(self, pod: Pod, told: Told | None = None) -> Judgement:
        return judged(
            pod,
            self._launcher.container,
            self._reactor.seconds(),
            unschedulable_timeout=self._rules.unschedulable_timeout,
            told=told or Told(),
        )

    def _running(self, pod: Pod, seen: Observed) -> Observed:
        fitness = self._fitness.get(pod.uid)
        if fitness is not None and fitness.failure is not None:
            return replace(seen, health=Health.FAILING, reason=str(fitness.failure))
        if fitness is not None and fitness.python:
            data = {**seen.data, "python": fitness.python}
            return replace(seen, health=Health.READY, data=data)
        if not self._launches.is_under_way(pod.token):
            self._adopt(pod)
        return replace(seen, reason=f"pod {pod.name} is looked at")

    def _observed_launches(self, listed: Collection[str]) -> Iterator[Observed]:
        """Yield what is being made and is not listed yet, or could not be made."""
        for token, launch in self._launches.items():
            if token in listed or (launch.is_over and launch.failure is None):
                continue
            failing = launch.failure is not None
            yield Observed(
                token=token,
                health=Health.FAILING if failing else Health.STARTING,
                created_at=launch.since,
                reason=str(launch.failure) if failing else "",
            )

    def _adopt(self, pod: Pod) -> None:
        """See to a pod whose launch is not known here, as after a crash."""
        if self._closed or pod.uid in self._fitting:
            return
        fitting = Deferred.fromCoroutine(self._make_fit(pod))
        self._fitting[pod.uid] = fitting

        def over(_: Any) -> None:
            self._fitting.pop(pod.uid, None)
            self._tell_news()

        def failed(failure: Any) -> Deferred[None] | None:
            error = failure.value
            if isinstance(error, HostUnreachable | RetryLater):
                return self._paused()
            if isinstance(error, DrydockError):
                self._fitness[pod.uid] = Fitness(failure=error)
                return None
            self.log.failure("pod {name}", failure, name=pod.name)
            return self._paused()

        fitting.addErrback(failed)
        fitting.addBoth(over)

    def _paused(self) -> Deferred[None]:
        """Return what is called after a pause, or as this is closed."""
        pause: Deferred[None] = deferLater(self._reactor, _AGAIN_SECONDS)
        self._pauses.add(pause)

        def over(_: object) -> None:
            self._pauses.discard(pause)

        return pause.addBoth(over)

    async def _make_fit(self, pod: Pod) -> None:
        await self._fit(pod, self._interpreters.prepared)

    async def _make_new_fit(self, pod: Pod) -> None:
        """Likewise, for a pod that no lease has used yet."""
        interpreters = self._interpreters
        await self._fit(
            pod, interpreters.prestarted if self._rules.prestarts else interpreters.prepared
        )

    async def _fit(self, pod: Pod, python_in: Callable[[ShellHost, str], Awaitable[str]]) -> None:
        image = pod.container(self._launcher.container).image
        try:
            python = await python_in(self._host(pod.name, pod.token), image)
        except HostUnreachable as error:
            if error.lasting:
                raise Misconfigured(f"{error}") from error
            raise
        self._fitness[pod.uid] = Fitness(python=python)

    # --- what the cluster tells by itself --------------------------------------------------------

    def heard(self, pod: Pod, is_gone: bool) -> None:
        """Take note of how a pod is now."""
        if pod.blueprint != self._rules.blueprint or self._closed:
            return
        before = self._listed.get(pod.uid)
        if before == pod and not is_gone:
            return
        if is_gone and pod.uid in self._ending:
            self._ending.discard(pod.uid)
            self._listed.pop(pod.uid, None)
            self._explanations.forget(pod.uid)
        elif not is_gone:
            self._listed[pod.uid] = pod
        for each in self._waiting.pop(pod.uid, ()):
            each.callback(None)
        if pod.is_leaving and not is_gone and pod.uid not in self._ending:
            self._explain(pod)
        self._tell_news()

    def _explain(self, pod: Pod) -> None:
        """Find out why a pod is being deleted while the cluster still knows."""
        explaining = Deferred.fromCoroutine(self._why(pod))
        explaining.addErrback(
            lambda failure: self.log.failure("explaining {name}", failure, name=pod.name)
        )

    async def _why(self, pod: Pod) -> None:
        judgement = self._judged(pod)
        told = await self._explanations.told(pod, self._launcher.container, judgement)
        self._explanations.keep(pod, self._judged(pod, told).reason)

    # --- create --------------------------------------------------------------------------------

    async def create(self, token: str, spec: HostSpec) -> None:
        """Have a pod made, and looked at once it runs; nothing if there is one."""
        is_there = any(each.token == token for each in self._listed.values())
        if is_there and not self._launches.is_under_way(token):
            return
        order = Order(
            installation=self._rules.installation, blueprint=self._rules.blueprint, token=token
        )

        async def begin(launch: Launch) -> None:
            with _translated():
                await self._launch(launch, order)

        await self._launches.awaited(token, begin)

    async def _launch(self, launch: Launch, order: Order) -> None:
        pod = await self._launcher.made(order)
        self._listed.setdefault(pod.uid, pod)
        runs = await self._until_it_runs(launch, pod.uid)
        if runs is None:
            return
        try:
            await self._make_new_fit(runs)
        except HostUnreachable:
            await self._require_survival(launch, runs)
            raise

    async def _until_it_runs(self, launch: Launch, uid: str) -> Pod | None:
        """Return a pod once it runs; None if it is not wanted any more. Raises why it never will."""
        while not launch.is_doomed and not self._closed:
            pod = self._listed.get(uid)
            if pod is None:
                why = self._explanations.forget(uid) or "somebody else has deleted it"
                raise RetryLater(f"the pod was gone before it ran: {why}")
            judgement = self._judged(pod)
            if judgement.error is not None:
                told = await self._explanations.told(pod, self._launcher.container, judgement)
                error = self._judged(pod, told).error
                assert error is not None
                raise error
            if judgement.runs:
                return pod
            if not await self._changed(uid):
                await self._look_again(pod)
        return None

    async def _require_survival(self, launch: Launch, pod: Pod) -> None:
        """Raise why a pod has ended, if that is why nothing can be run in it."""
        until = self._reactor.seconds() + _ENDING_SECONDS
        runs: Pod | None = pod
        while runs is not None and (left := until - self._reactor.seconds()) > 0:
            if not await self._changed(pod.uid, left):
                await self._look_again(runs)
            runs = await self._until_it_runs(launch, pod.uid)

    async def _changed(self, uid: str, seconds: float = _LOOK_SECONDS) -> bool:
        """Wait until a pod has changed; tell whether it has, or only time has passed."""
        waiting: Deferred[None] = Deferred()
        self._waiting.setdefault(uid, []).append(waiting)
        is_late = False

        def late(outcome: Any, _: float) -> None:
            nonlocal is_late
            is_late = True

        waiting.addTimeout(seconds, self._reactor, late)
        await waiting
        if is_late and waiting in self._waiting.get(uid, ()):
            self._waiting[uid].remove(waiting)
        return not is_late

    async def _look_again(self, pod: Pod) -> None:
        try:
            found = pod_of(await self._cluster.pod(pod.name))
        except CallFailed as failed:
            if failed.cause is not Cause.ABSENT:
                raise
            self._listed.pop(pod.uid, None)
            return
        if found.uid == pod.uid:
            self._listed[pod.uid] = found

    # --- destroy -------------------------------------------------------------------------------

    async def destroy(self, token: str, identity: str = "") -> None:
        """Have the pod of a token deleted, after its grace. It is listed until it has ended."""
        if not identity:
            self._launches.doom(token)
        with _translated():
            try:
                found = await self._cluster.pod(token)
            except CallFailed as failed:
                if failed.cause is Cause.ABSENT:
                    return
                raise
            pod = pod_of(found)
            order = Order(
                installation=self._rules.installation, blueprint=self._rules.blueprint, token=token
            )
            if not is_ours(found, order) or identity not in ("", pod.uid):
                return
            self._ending.add(pod.uid)
            if not pod.is_leaving:
                await self._delete(pod)
        for each in self._waiting.pop(pod.uid, ()):
            each.callback(None)
        self._tell_news()

    async def _delete(self, pod: Pod) -> None:
        try:
            await self._cluster.delete(pod.name, deletion(pod.uid, self._rules.stop_grace))
        except CallFailed as failed:
            if failed.cause not in (Cause.ABSENT, Cause.TAKEN):  # it is gone, or another by now
                raise

    # --- what runs there -----------------------------------------------------------------------

    def connect(self, resource: Resource) -> ShellHost:
        """Return the way into a pod. Raises ``HostUnreachable`` once this is closed."""
        if self._closed:
            raise HostUnreachable(f"the way to {self._cluster.where} is closed")
        return self._host(resource.token, resource.token)

    def _host(self, pod: str, token: str) -> ShellHost:
        return ShellHost(
            self._cluster.machine(pod, self._launcher.container),
            self._rules.directory,
            marks={RESOURCE_MARK: token},
            grace_seconds=self._rules.stop_grace,
        )

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        """End what a lease left. What ran in a pod that has ended has ended with it."""
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
        with _translated():
            try:
                pod = pod_of(await self._cluster.pod(resource.token))
            except CallFailed as failed:
                if failed.cause is Cause.ABSENT:
                    return False
                raise
        if resource.identity not in ("", pod.uid):
            return False
        return pod.container(self._launcher.container).is_running and not pod.has_ended

    async def close(self) -> None:
        """Make no more calls. What runs goes on."""
        self._closed = True
        self._closing()
        for waiting in list(self._waiting.values()):
            for each in waiting:
                each.callback(None)
        self._waiting.clear()
        for pause in list(self._pauses):
            pause.cancel()
        await self._cluster.close(self._threads)

    @property
    def is_working(self) -> bool:
        """Whether anything is under way in the background, as far as this provider knows."""
        return bool(self._fitting) or bool(self._ending) or self._launches.are_under_way


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except CallFailed as failed:
        raise failed.error from failed
