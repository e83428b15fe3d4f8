"""Launches that go on in the background, and what ``create`` has to do with them.

``create`` waits for a launch for a while, so that it can say what is wrong with the blueprint. One
that takes longer goes on, and its failure is told by the next ``create``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, ItemsView
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from buildbot_drydock.errors import DrydockError, RetryLater

PATIENCE_SECONDS: Final = 20.0


@dataclass(slots=True)
class Launch:
    """What is under way for one token, or how it failed after ``create`` had returned."""

    since: float
    address: str = ""  # where it is tried
    ending: Deferred[None] = field(default_factory=Deferred)
    is_over: bool = False
    is_doomed: bool = False
    was_awaited: bool = True
    failure: DrydockError | None = None


class BegunLaunches:
    """The launches of a provider, by token. One that has succeeded is forgotten."""

    log = Logger()

    def __init__(self, reactor: Any, tell_news: Callable[[], None]) -> None:
        """*tell_news* is called as each ends; *reactor* is an IReactorTime."""
        self._reactor = reactor
        self._tell_news = tell_news
        self._launches: dict[str, Launch] = {}
        self._late_failure: DrydockError | None = None

    def get(self, token: str) -> Launch | None:
        return self._launches.get(token)

    def items(self) -> ItemsView[str, Launch]:
        return self._launches.items()

    @property
    def are_under_way(self) -> bool:
        return any(not each.is_over for each in self._launches.values())

    def is_under_way(self, token: str) -> bool:
        launch = self._launches.get(token)
        return launch is not None and not launch.is_over

    def doom(self, token: str) -> None:
        """Take note that a token is not wanted any more."""
        launch = self._launches.get(token)
        if launch is not None:
            launch.is_doomed = True
            if launch.is_over:
                del self._launches[token]

    async def awaited(
        self, token: str, begin: Callable[[Launch], Coroutine[Any, Any, None]]
    ) -> None:
        """Have a launch begun, unless it is under way, and wait for it for a while.

        Raises how it failed, or how an earlier one did that nobody waited for any more.
        """
        launch = self._launches.get(token)
        if launch is None or launch.is_over:
            late, self._late_failure = self._late_failure, None
            if late is not None:
                raise late  # what is wrong was only found out when the last one had been begun
            launch = self._begun(token, begin)
        await self._patiently(launch)
        if launch.is_over and launch.failure is not None:
            self._launches.pop(token, None)
            raise launch.failure

    def _begun(self, token: str, begin: Callable[[Launch], Coroutine[Any, Any, None]]) -> Launch:
        launch = self._launches[token] = Launch(since=self._reactor.seconds())

        def over(outcome: Any) -> None:
            launch.is_over = True
            error = getattr(outcome, "value", None)
            if isinstance(error, DrydockError):
                launch.failure = error
            elif error is not None:
                self.log.failure("launching {token}", outcome, token=token)
                launch.failure = RetryLater(repr(error))
            if launch.failure is None or launch.is_doomed:
                if self._launches.get(token) is launch:
                    del self._launches[token]
            elif not launch.was_awaited:
                self._late_failure = launch.failure
            launch.ending.callback(None)
            self._tell_news()

        Deferred.fromCoroutine(begin(launch)).addBoth(over)
        return launch

    async def _patiently(self, launch: Launch) -> None:
        waiting: Deferred[None] = Deferred()
        launch.ending.addBoth(lambda _: None if waiting.called else waiting.callback(None))
        waiting.addTimeout(PATIENCE_SECONDS, self._reactor, lambda *_: None)
        launch.was_awaited = True
        try:
            await waiting
        finally:
            launch.was_awaited = launch.is_over
