"""The Python that stands by in a container or a pod, from launch to the end of a lease."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import TestCase

from buildbot_drydock.latent.process import LOG, TACTICS_FILE, command
from buildbot_drydock.model import Lease, LeaseStatus, Resource

if TYPE_CHECKING:
    _Base = TestCase
else:
    _Base = object

_LONG = 60.0
_LEASE = Lease(
    id=7, owner="worker/w", type="host", nonce="n" * 12, status=LeaseStatus.ACTIVE, slot=0
)
_TACTICS = b"""
import os
from twisted.application import service
with open("began.new", "w") as began:
    began.write(str(os.getpid()))
os.replace("began.new", "began")
application = service.Application("nothing")
"""
# Which processes bear a tag that begins so.
_BEARERS = (
    'for each in $(grep -lz "^DRYDOCK_TAG=$1" /proc/[0-9]*/environ 2>/dev/null); do '
    'each=${each#/proc/}; echo "${each%/environ}"; done'
)
_STANDBY = "drydock-standby-"


class Prestarting(_Base):
    """The suite. Subclasses say how to get a provider, and what is ready there."""

    def new_provider(self, name: str = "it", **fields: Any) -> Any:
        raise NotImplementedError

    async def ready(self, provider: Any, token: str = "drydock-1") -> Resource:
        raise NotImplementedError

    async def pause(self) -> None:
        raise NotImplementedError

    async def bearers(self, provider: Any, resource: Resource, tag: str) -> list[str]:
        argv = ["sh", "-c", _BEARERS, "sh", tag]
        done = await provider.connect(resource).run(argv, timeout=_LONG)
        return done.stdout.decode().split()

    async def standing_by(self, provider: Any, resource: Resource) -> str:
        """Return the number of the process that stands by, once it can be given orders."""
        host = provider.connect(resource)
        script = "ls -a | grep '^[.]drydock-standby-[^.]*$'"
        while (await host.run(["sh", "-c", script], timeout=_LONG)).exit_code:
            await self.pause()
        (found,) = await self.bearers(provider, resource, _STANDBY)
        return found

    async def begun(self, provider: Any, resource: Resource) -> str:
        """Start the process of a lease; return its number once it runs."""
        host = provider.connect(resource)
        await host.start(
            command(resource.data["python"]),
            tag=_LEASE.tag,
            cwd="worker",
            log=LOG,
            file=(f"worker/{TACTICS_FILE}", _TACTICS),
        )
        while not await host.exists("worker/began"):
            await self.pause()
        return (await host.read("worker/began")).decode()

    async def test_it_becomes_the_worker_of_the_lease_and_another_one_stands_by_after_it(
        self,
    ) -> None:
        provider = self.new_provider(max_uses=2)
        resource = await self.ready(provider)
        waiting = await self.standing_by(provider, resource)
        self.assertEqual(await self.begun(provider, resource), waiting)
        self.assertEqual(await self.bearers(provider, resource, _LEASE.tag), [waiting])
        self.assertEqual(await self.bearers(provider, resource, _STANDBY), [])
        await provider.vacate(replace(resource, uses=1), _LEASE)
        self.assertEqual(await self.bearers(provider, resource, _LEASE.tag), [])
        self.assertNotEqual(await self.standing_by(provider, resource), waiting)

    async def test_none_stands_by_after_the_last_lease(self) -> None:
        for fields in ({}, {"max_uses": None, "idle_timeout": 0}):
            provider = self.new_provider(f"pool-{len(fields)}", **fields)
            resource = await self.ready(provider, f"drydock-{len(fields)}")
            await self.standing_by(provider, resource)
            await self.begun(provider, resource)
            await provider.vacate(replace(resource, uses=1), _LEASE)
            self.assertEqual(await self.bearers(provider, resource, "drydock-"), [])

    async def test_none_stands_by_unless_it_is_wanted(self) -> None:
        provider = self.new_provider(max_uses=None, prestart=False)
        resource = await self.ready(provider)
        self.assertEqual(await self.bearers(provider, resource, "drydock-"), [])
        await provider.vacate(replace(resource, uses=1), _LEASE)
        self.assertEqual(await self.bearers(provider, resource, "drydock-"), [])
