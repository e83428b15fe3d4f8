"""Hosts that exist only in memory, and misbehave as a script says.

For demonstrations, for tests and for the simulator. With the default script nothing ever goes
wrong. The hosts are those of a ``SyntheticCloud``; a ``SyntheticProvider`` is one master's way in.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from buildbot_drydock.errors import CommandTimedOut, HostError
from buildbot_drydock.interfaces import Completed, HostSpec
from buildbot_drydock.latent.synthetic_cloud import (
    Answer,
    Failure,
    Hook,
    Machine,
    Moment,
    Process,
    Script,
    Stage,
    SyntheticCloud,
)
from buildbot_drydock.model import Lease, Observed, Resource

__all__ = [
    "Answer",
    "Failure",
    "Hook",
    "Machine",
    "Moment",
    "Process",
    "Script",
    "Stage",
    "SyntheticCloud",
    "SyntheticHost",
    "SyntheticProvider",
]

T = TypeVar("T")


class SyntheticProvider:
    """The hosts of one blueprint in a synthetic cloud."""

    def __init__(self, cloud: SyntheticCloud, blueprint: str) -> None:
        self._cloud = cloud
        self._blueprint = blueprint

    async def inventory(self) -> Sequence[Observed]:
        return await self._cloud.call("inventory", "", lambda: self._cloud.listing(self._blueprint))

    async def create(self, token: str, spec: HostSpec) -> None:
        await self._cloud.call(
            "create", token, lambda: self._cloud.create(self._blueprint, token, spec)
        )

    async def destroy(self, token: str, identity: str = "") -> None:
        await self._cloud.call(
            "destroy", token, lambda: self._cloud.destroy(self._blueprint, token, identity)
        )

    def connect(self, resource: Resource) -> SyntheticHost:
        return SyntheticHost(self._cloud, resource.token, resource.identity)

    async def prepare(self, resource: Resource, lease: Lease) -> None:
        """Do nothing but what the script makes of it; the host must answer."""
        await self._cloud.call(
            "prepare",
            resource.token,
            lambda: self._cloud.reach(resource.token, resource.identity),
        )

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        await self._cloud.call("vacate", resource.token, lambda: self._vacate(resource, lease))

    def _vacate(self, resource: Resource, lease: Lease) -> None:
        machines = self._cloud.named(resource.token, resource.identity)
        if any(not machine.torn_down for machine in machines):
            machine = self._cloud.reach(resource.token, resource.identity)
            machine.processes.pop(lease.tag, None)


class SyntheticHost:
    """One host of a synthetic cloud: nothing runs, but what was started is remembered."""

    def __init__(self, cloud: SyntheticCloud, token: str, identity: str = "") -> None:
        self._cloud = cloud
        self._token = token
        self._identity = identity

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
        answer = await self._on_machine("run", lambda machine: self._cloud.answer(argv))
        limit = timeout if idle_timeout is None else min(timeout, idle_timeout)
        await self._cloud.wait(min(answer.seconds, limit))
        if answer.seconds > limit:
            which = "timeout" if limit == timeout else "idle_timeout"
            raise CommandTimedOut(
                f"host {self._token}: {shlex.join(argv)!r} ran into its {which} of {limit:g} s; "
                f"its last output was {answer.stdout[-200:]!r}"
            )
        if answer.error is not None:
            raise answer.error(f"host {self._token}: the script lets {shlex.join(argv)!r} fail")
        return Completed(exit_code=answer.exit_code, stdout=answer.stdout, stderr=answer.stderr)

    async def start(
        self,
        argv: Sequence[str],
        *,
        tag: str,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        log: str | None = None,
    ) -> None:
        process = Process(argv=tuple(argv), env=dict(env or {}), cwd=cwd, log=log)
        await self._on_machine("start", lambda machine: machine.processes.setdefault(tag, process))

    async def running(self, tag: str) -> bool:
        return await self._on_machine("running", lambda machine: tag in machine.processes)

    async def stop(self, tag: str) -> None:
        await self._on_machine("stop", lambda machine: machine.processes.pop(tag, None))

    async def read(self, path: str) -> bytes:
        return await self._on_machine("read", lambda machine: self._content(machine, path))

    async def write(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        await self._on_machine("write", lambda machine: machine.files.update({path: content}))

    async def exists(self, path: str) -> bool:
        return await self._on_machine("exists", lambda machine: bool(_at_or_under(machine, path)))

    async def remove(self, path: str) -> None:
        def effect(machine: Machine) -> None:
            for each in _at_or_under(machine, path):
                del machine.files[each]

        await self._on_machine("remove", effect)

    def _content(self, machine: Machine, path: str) -> bytes:
        try:
            return machine.files[path]
        except KeyError:
            raise HostError(f"host {self._token}: there is no file {path!r}") from None

    async def _on_machine(self, verb: str, effect: Callable[[Machine], T]) -> T:
        return await self._cloud.call(
            verb, self._token, lambda: effect(self._cloud.reach(self._token, self._identity))
        )


def _at_or_under(machine: Machine, path: str) -> list[str]:
    """Return the files that *path* names: itself, or all in it if it is a directory."""
    inside = path.rstrip("/") + "/"
    return [each for each in machine.files if each == path or each.startswith(inside)]
