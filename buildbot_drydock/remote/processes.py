"""Processes on this machine that are found again by a mark in their environment.

Whatever a marked process starts inherits the mark, whatever process group or session it makes for
itself. So a master that was killed, or another one, finds all that was left running.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import psutil
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from buildbot_drydock.errors import HostError

TAG_MARK: Final = "DRYDOCK_TAG"  # what was started, such as a lease's worker
RESOURCE_MARK: Final = "DRYDOCK_RESOURCE"  # the directory of the resource it runs on

_POLL_SECONDS: Final = 0.1
_DEAD: Final = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def unmarked_environment() -> dict[str, str]:
    """Return this process's environment without marks, should it have been started with some."""
    return {k: v for k, v in os.environ.items() if k not in (TAG_MARK, RESOURCE_MARK)}


def mark_values(mark: str) -> frozenset[str]:
    """Return the values that living processes bear *mark* with. Blocks."""
    return frozenset(
        environment[mark] for environment in _environments().values() if mark in environment
    )


def marked(mark: str, value: str, known: Iterable[psutil.Process] = ()) -> list[psutil.Process]:
    """Return the living processes marked so, and all that descend from them. Blocks.

    Never this process or one that it descends from: they may bear the mark if this process was
    itself started on a host. Those *known* from an earlier look count as marked: one that has
    cleared its environment can't be found any more once its parent has ended.
    """
    protected = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    # One that is just becoming another program shows no environment: hence a second look.
    bearers = _bearers(mark, value, protected) or _bearers(mark, value, protected)
    bearers.extend(each for each in known if _is_alive(each))
    return [each for each in _with_descendants(bearers, protected) if _is_alive(each)]


def _bearers(mark: str, value: str, protected: Collection[int]) -> list[psutil.Process]:
    return [
        process
        for process, environment in _environments().items()
        if environment.get(mark) == value and process.pid not in protected
    ]


def _environments() -> Mapping[psutil.Process, Mapping[str, str]]:
    """Return the environments of all processes that let us read it, our own user's at least."""
    found: dict[psutil.Process, Mapping[str, str]] = {}
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            found[process] = process.environ()
        except (psutil.Error, OSError):
            continue  # it is another user's, or has ended
    return found


def _with_descendants(
    bearers: Sequence[psutil.Process], protected: Iterable[int]
) -> list[psutil.Process]:
    """Add the children that have cleared their environment, and theirs."""
    if not bearers:
        return []
    children: defaultdict[int, list[psutil.Process]] = defaultdict(list)
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            children[process.ppid()].append(process)
        except psutil.Error:
            continue
    found: list[psutil.Process] = []
    seen = set(protected)
    waiting = list(bearers)
    while waiting:
        process = waiting.pop(0)
        if process.pid not in seen:
            seen.add(process.pid)
            found.append(process)
            waiting.extend(children[process.pid])
    return found


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in _DEAD
    except psutil.Error:
        return False


def _leads_its_group(process: psutil.Process) -> bool:
    try:
        return os.getpgid(process.pid) == process.pid
    except OSError:
        return False


def _signal_each(
    processes: Iterable[psutil.Process], signal: Callable[[psutil.Process], None]
) -> None:
    for process in processes:
        try:
            # psutil compares start times first: a process number used again is not signalled.
            signal(process)
        except psutil.Error:
            continue  # it has ended; or the next look finds it again, and names it in the end


class MarkedProcesses:
    """Finds and ends marked processes without holding up the reactor."""

    def __init__(
        self,
        reactor: Any,  # IReactorTime and IReactorFromThreads
        threads: ThreadPool,
        *,
        grace_seconds: float = 5.0,
        kill_seconds: float = 10.0,
    ) -> None:
        """*grace_seconds* is how long a process may take to end when asked politely, and
        *kill_seconds* how long killing is tried."""
        self._reactor = reactor
        self._threads = threads
        self._grace_seconds = grace_seconds
        self._kill_seconds = kill_seconds

    async def find(
        self, mark: str, value: str, known: Iterable[psutil.Process] = ()
    ) -> list[psutil.Process]:
        """Return what ``marked`` does, without blocking."""
        return await deferToThreadPool(self._reactor, self._threads, marked, mark, value, known)

    async def end(self, mark: str, value: str) -> None:
        """End all processes marked so, and return once none is left.

        The leaders of process groups are asked first, with SIGTERM, as they know how to end their
        own in order. What is left after the grace time is killed, as often as it takes: a process
        may have forked between a look and a kill. Raises ``HostError`` that names what is left.
        """
        left: Sequence[psutil.Process] = await self.find(mark, value)
        if not left:
            return
        leaders = [process for process in left if _leads_its_group(process)]
        _signal_each(leaders or left, psutil.Process.terminate)
        left = await self._wait_until_gone(mark, value, left, self._grace_seconds)
        deadline = self._reactor.seconds() + self._kill_seconds
        while left and self._reactor.seconds() < deadline:
            _signal_each(left, psutil.Process.kill)
            left = await self._wait_until_gone(mark, value, left, _POLL_SECONDS)
        if left:
            numbers = ", ".join(str(process.pid) for process in left)
            raise HostError(
                f"processes {numbers}, marked {mark}={value}, are still there "
                f"{self._kill_seconds:g} s after they were killed; "
                "look for what they wait for, such as a file server that does not answer"
            )

    async def _wait_until_gone(
        self, mark: str, value: str, left: Sequence[psutil.Process], seconds: float
    ) -> Sequence[psutil.Process]:
        """Return what is left after at most so many seconds."""
        deadline = self._reactor.seconds() + seconds
        while left := await self.find(mark, value, left):
            if self._reactor.seconds() >= deadline:
                break
            await deferLater(self._reactor, _POLL_SECONDS)
        return left
