"""All engines of a pool, listed at once and each on its own account.

One that does not answer, or hangs, holds up no other; what may be on it is unknown until it does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults

from buildbot_drydock.errors import RetryLater
from buildbot_drydock.events import Event, HostLost, HostReturned
from buildbot_drydock.latent.docker.failures import CallFailed, Cause
from buildbot_drydock.latent.docker.fields import as_filter
from buildbot_drydock.latent.docker.launching import nowhere
from buildbot_drydock.latent.docker.listing import Container, containers

if TYPE_CHECKING:
    from buildbot_drydock.latent.docker.engine import Engine

LISTING_SECONDS: Final = 10.0  # for which an engine that hangs holds up the others


class Engines:
    """The engines, by their URLs, and which of them could not be listed."""

    def __init__(
        self,
        engines: Sequence[Engine],
        ours: Mapping[str, str],
        *,
        reactor: Any,  # IReactorTime
        report: Callable[[Event], None],
    ) -> None:
        """*ours* are the labels of all containers of the pool."""
        self._engines = {each.url: each for each in engines}
        self._ours = ours
        self._reactor = reactor
        self._report = report
        self._lost: dict[str, float] = {}  # those that could not be listed, and since when

    def __iter__(self) -> Iterator[Engine]:
        return iter(self._engines.values())

    def get(self, url: str) -> Engine | None:
        return self._engines.get(url)

    @property
    def unlisted(self) -> Collection[str]:
        """Those that the last listing could not list."""
        return self._lost.keys()

    async def containers(self) -> dict[str, Container]:
        """Return all containers by their ids. Raises ``CallFailed`` if no engine can be listed."""
        asking = [Deferred.fromCoroutine(self._list(each)) for each in self]
        try:
            answers = await gatherResults(asking, consumeErrors=True)
        except FirstError as first:  # such as that this was cancelled
            first.subFailure.raiseException()
        failures = [each for each in answers if isinstance(each, CallFailed)]
        if len(failures) == len(answers):
            raise nowhere(failures)
        listed = [answer for answer in answers if isinstance(answer, list)]
        return {each.id: each for answer in listed for each in answer}

    async def _list(self, engine: Engine) -> list[Container] | CallFailed:
        asking = Deferred.fromCoroutine(self.ask(engine, self._ours))
        try:
            found = await asking.addTimeout(LISTING_SECONDS, self._reactor, _hangs(engine))
        except CallFailed as failed:
            if not engine.rests:
                engine.fell_silent(failed)  # it hangs, or answers nonsense
            self._note_lost(engine, failed)
            return failed
        since = self._lost.pop(engine.url, None)
        if since is not None:
            seconds = self._reactor.seconds() - since
            self._report(HostReturned(host=engine.url, seconds=seconds))
        return found

    async def ask(self, engine: Engine, labels: Mapping[str, str]) -> list[Container]:
        """Return the containers of one engine with some labels. Raises ``CallFailed``."""
        rows: Any = await engine.call(
            "list the containers",
            lambda client: client.containers(all=True, filters={"label": as_filter(labels)}),
        )
        return containers(engine.url, rows)

    def _note_lost(self, engine: Engine, failed: CallFailed) -> None:
        if engine.url not in self._lost:
            self._lost[engine.url] = self._reactor.seconds()
            reason, _, remedy = str(failed).partition(". Remedy: ")
            lost = HostLost(host=engine.url, phase="listing", reason=reason, remedy=remedy)
            self._report(lost)


def _hangs(engine: Engine) -> Callable[[Any, float], Any]:
    def say_so(outcome: Any, _: float) -> Any:
        if outcome.check(CancelledError):
            text = (
                f"{engine.url} gave no answer within {LISTING_SECONDS:.0f} s. Remedy: see what keeps "
                "it busy, and what its log says"
            )
            raise CallFailed(Cause.UNREACHABLE, RetryLater(text))
        return outcome

    return say_so
