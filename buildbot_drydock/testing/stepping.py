"""Let a simulation decide what happens next wherever a master waits.

Each call of a store or a provider stops twice: before it takes effect and after it. The simulation
lets the stopped calls go on in any order it likes, and a master that dies simply never goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from buildbot_drydock.interfaces import Completed, Host, HostSpec, Provider
from buildbot_drydock.model import Lease, Observed, Resource

T = TypeVar("T")
Stop = Callable[[], Awaitable[None]]


class Process:
    """One run of a master's process: dead, nothing of it goes on, not even to clean up."""

    def __init__(self, clock: Clock, skew_seconds: float) -> None:
        self._clock = clock
        self._skew_seconds = skew_seconds
        self.alive = True
        self.stopped: list[Deferred[None]] = []

    # --- its clock: every master's is a little wrong, and its timers die with it ---------------

    def seconds(self) -> float:
        return self._clock.seconds() + self._skew_seconds

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Any:
        def call() -> None:
            if self.alive:
                callable(*args)

        return self._clock.callLater(delay, call)

    # --- its calls -------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Wait until the simulation lets this master go on."""
        here: Deferred[None] = Deferred(self.stopped.remove)
        self.stopped.append(here)
        await here

    @property
    def can_go_on(self) -> bool:
        return self.alive and bool(self.stopped)

    def go_on(self, index: int) -> None:
        self.stopped.pop(index).callback(None)


class SteppedStore:
    """A store whose every method stops before its transaction and after it."""

    def __init__(self, store: Any, stop: Stop) -> None:
        self._store = store
        self._stop = stop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def stepped(*args: Any, **arguments: Any) -> Any:
            await self._stop()
            result = await method(*args, **arguments)
            await self._stop()
            return result

        setattr(self, name, stepped)
        return stepped


class _Stepped:
    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    async def _step(self, call: Callable[[], Awaitable[T]]) -> T:
        await self._stop()
        try:
            result = await call()
        except Exception:
            await self._stop()
            raise
        await self._stop()
        return result


class SteppedProvider(_Stepped):
    """A provider whose every verb stops before it takes effect and after it."""

    def __init__(self, provider: Any, stop: Stop) -> None:
        super().__init__(stop)
        self._provider = provider

    async def inventory(self) -> Sequence[Observed]:
        provider: Provider = self._provider
        return await self._step(lambda: provider.inventory())

    async def create(self, token: str, spec: HostSpec) -> None:
        await self._step(lambda: self._provider.create(token, spec))

    async def destroy(self, token: str, identity: str = "") -> None:
        await self._step(lambda: self._provider.destroy(token, identity))

    async def park(self, token: str, identity: str) -> None:
        await self._step(lambda: self._provider.park(token, identity))

    async def wake(self, token: str, identity: str) -> None:
        await self._step(lambda: self._provider.wake(token, identity))

    def connect(self, resource: Resource) -> Host:
        return SteppedHost(self._provider.connect(resource), self._stop)

    async def prepare(self, resource: Resource, lease: Lease) -> None:
        await self._step(lambda: self._provider.prepare(resource, lease))

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        await self._step(lambda: self._provider.vacate(resource, lease))


class SteppedHost(_Stepped):
    """A host whose every method stops before it takes effect and after it."""

    def __init__(self, host: Host, stop: Stop) -> None:
        super().__init__(stop)
        self._host = host

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        idle_timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        return await self._step(
            lambda: self._host.run(
                argv, timeout=timeout, idle_timeout=idle_timeout, env=env, cwd=cwd, stdin=stdin
            )
        )

    async def start(
        self,
        argv: Sequence[str],
        *,
        tag: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        log: str | None = None,
        file: tuple[str, bytes] | None = None,
    ) -> None:
        await self._step(
            lambda: self._host.start(argv, tag=tag, env=env, cwd=cwd, log=log, file=file)
        )

    async def running(self, tag: str) -> bool:
        return await self._step(lambda: self._host.running(tag))

    async def stop(self, tag: str) -> None:
        await self._step(lambda: self._host.stop(tag))

    async def read(self, path: str) -> bytes:
        return await self._step(lambda: self._host.read(path))

    async def write(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        await self._step(lambda: self._host.write(path, content, mode=mode))

    async def exists(self, path: str) -> bool:
        return await self._step(lambda: self._host.exists(path))

    async def remove(self, path: str) -> None:
        await self._step(lambda: self._host.remove(path))
