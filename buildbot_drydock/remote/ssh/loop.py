"""An asyncio event loop in a thread of its own, beside Twisted's reactor.

The SSH library needs asyncio, and a master runs under whatever reactor it likes. All that touches
the library happens in the loop's thread; the reactor's thread only sees Deferreds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from threading import Thread
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail, succeed

from buildbot_drydock.errors import HostUnreachable

T = TypeVar("T")

_CLOSING_SECONDS: Final = 10.0  # how long whatever is closed may take


class SSHLoop:
    """One thread in which everything that speaks SSH happens."""

    def __init__(self, reactor: Any, *, most_handshakes: int = 4) -> None:
        """*most_handshakes* key exchanges go on at once: each keeps Python busy for a while."""
        self._reactor = reactor  # IReactorFromThreads
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: set[asyncio.Task[Any]] = set()  # touched by the loop's thread only
        self._closers: set[Callable[[], Awaitable[None]]] = set()  # likewise
        self._sent: deque[Callable[[], object]] = deque()  # to be called in the loop's thread
        self._woken = False
        self._most_handshakes = most_handshakes
        self.handshakes = asyncio.Semaphore(most_handshakes)

    def start(self) -> None:
        """Start the thread; nothing if it runs."""
        if self._loop is not None:
            return
        self._loop = asyncio.new_event_loop()
        self.handshakes = asyncio.Semaphore(self._most_handshakes)
        Thread(target=_run, args=(self._loop,), name="drydock-ssh", daemon=True).start()

    def call(
        self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: object
    ) -> Deferred[T]:
        """Call a coroutine function in the loop's thread; the answer comes in the reactor's.

        Cancelling the Deferred cancels the task. The Deferred fails at once, as all Deferreds do;
        the task has time to clean up, and ``stop`` waits for it.
        """
        loop = self._loop
        if loop is None:
            return fail(HostUnreachable("the SSH loop is stopped, as the master is stopping"))
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = loop.create_task(function(*arguments))
            tasks.append(task)
            self._calls.add(task)
            task.add_done_callback(finished)

        def finished(task: asyncio.Task[T]) -> None:
            self._calls.discard(task)
            if task.cancelled():
                self.in_reactor(_fail, deferred, CancelledError())
            elif (error := task.exception()) is not None:
                self.in_reactor(_fail, deferred, error)
            else:
                self.in_reactor(_succeed, deferred, task.result())

        def cancel(_: Deferred[T]) -> None:
            self._send(loop, lambda: tasks[0].cancel())

        deferred: Deferred[T] = Deferred(cancel)
        self._send(loop, begin)
        return deferred

    def _send(self, loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
        """Have a function called in the loop's thread, after those sent before.

        The loop is woken once for many that are sent together. To wake it is to write to a socket,
        and so to hand Python over to its thread, which holds the reactor for milliseconds.
        """
        self._sent.append(function)
        if not self._woken:
            self._woken = True
            loop.call_soon_threadsafe(self._receive, loop)

    def _receive(self, loop: asyncio.AbstractEventLoop) -> None:
        self._woken = False  # first: what is sent from now on wakes the loop again
        while self._sent:
            loop.call_soon(self._sent.popleft())

    def in_reactor(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in the reactor's thread."""
        self._reactor.callFromThread(function, *arguments)

    def add_closer(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Have something closed when the loop stops. For the loop's thread."""
        self._closers.add(closer)

    def remove_closer(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Take back what ``add_closer`` asked for. For the loop's thread."""
        self._closers.discard(closer)

    def stop(self) -> Deferred[None]:
        """Cancel what goes on, close all connections, and end the thread."""
        loop, self._loop = self._loop, None
        if loop is None:
            return succeed(None)
        stopped: Deferred[None] = Deferred()

        async def end() -> None:
            try:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._close(), _CLOSING_SECONDS)
            finally:
                loop.stop()
                self.in_reactor(stopped.callback, None)

        asyncio.run_coroutine_threadsafe(end(), loop)
        return stopped

    async def _close(self) -> None:
        calls = list(self._calls)
        for task in calls:
            task.cancel()
        if calls:
            await asyncio.wait(calls)
        await asyncio.gather(*(closer() for closer in list(self._closers)), return_exceptions=True)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_end_all_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _end_all_tasks() -> None:
    """End what the library itself has left, so that nothing is destroyed while pending."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(0)  # what was aborted closes its socket in the next turn


# A Deferred that has been called has been cancelled.


def _succeed(deferred: Deferred[Any], result: object) -> None:
    if not deferred.called:
        deferred.callback(result)


def _fail(deferred: Deferred[Any], error: BaseException) -> None:
    if not deferred.called:
        deferred.errback(error)
