"""An active lease of a worker, and its process on the leased host."""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

from buildbot_drydock.errors import DrydockError
from buildbot_drydock.latent.process import Login, WorkerProcess
from buildbot_drydock.latent.terms import Terms
from buildbot_drydock.latent.waiting import within
from buildbot_drydock.model import Lease, Resource

if TYPE_CHECKING:
    from buildbot_drydock.service import DrydockService

_log = Logger()

LOOKING_SECONDS: Final = 10.0  # for the process, or at its log

# What a provider may tell in the data of a resource, as it alone knows.
PYTHON: Final = "python"  # an interpreter there that has buildbot_worker
MASTER_ADDRESS: Final = "master_address"  # how the host reaches the master, such as by a tunnel
MASTER_PORT: Final = "master_port"


class Tenancy:
    """What a worker has on a host. ``move_in`` makes one; ``end`` gives everything back."""

    def __init__(
        self, service: DrydockService, terms: Terms, reactor: Any, lease: Lease, resource: Resource
    ) -> None:
        self.lease = lease
        self.resource = resource
        self._service = service
        self._terms = terms
        self._reactor = reactor
        self._told = ""  # where its process finds the master, once it was started
        self._is_here = service.kind_of(resource) == "local"
        self._process = WorkerProcess(
            host=service.connect(resource),
            tag=lease.tag,
            directory=f"{terms.directory}-{lease.slot}",
            python=self._python(),
        )

    @classmethod
    async def move_in(
        cls, service: DrydockService, terms: Terms, reactor: Any, lease: Lease
    ) -> Tenancy:
        """Raises ``HostUnreachable`` if there is no way to the host."""
        return cls(service, terms, reactor, lease, await service.resource_of(lease))

    @property
    def password(self) -> str:
        """What its process logs in with, and no other."""
        return self._service.password(self.lease)

    async def start(self, name: str, port: int) -> None:
        """Start the process. Raises ``TookTooLong``, and ``HostError`` for what goes wrong there."""
        login = Login(
            name=name,
            password=self.password,
            address=await self._address(),
            port=int(self.resource.data.get(MASTER_PORT) or port),
        )
        self._told = f"{login.address}:{login.port}"
        await within(
            self._reactor,
            self._terms.login_timeout,
            self._process.start(login, lease=self.lease.id),
            f"starting buildbot-worker on resource {self.resource.id}",
        )

    def _python(self) -> str:
        told = self._terms.python or self.resource.data.get(PYTHON)
        return told or (sys.executable if self._is_here else "python3")

    async def _address(self) -> str:
        tunnel = self.resource.data.get(MASTER_ADDRESS)
        if tunnel:
            return tunnel
        if self._terms.masterFQDN:
            return self._terms.masterFQDN
        return "localhost" if self._is_here else await self._service.machine_name()

    async def may_be_running(self) -> bool:
        """Tell whether the process runs, or that could not be found out."""
        try:
            return await within(
                self._reactor, LOOKING_SECONDS, self._process.running(), "looking for its process"
            )
        except DrydockError:
            return True

    async def about_silence(self) -> str:
        """Return what to look at if its process does not connect, and the end of its log."""
        where = f" at {self._told}" if self._told else ""
        look = f"see that its host reaches the master{where}, or give its pool another masterFQDN"
        return f"{look}; {await self.last_words()}"

    async def last_words(self) -> str:
        """Return the end of the process's log, or why it cannot be read."""
        try:
            return await within(
                self._reactor, LOOKING_SECONDS, self._process.last_words(), "reading its log"
            )
        except DrydockError as error:
            return str(error)

    async def blame(self, fault: str) -> None:
        """Have its host held back, as no worker could be started there. Never raises."""
        blaming = self._service.leases.blame(self.resource.id, fault)
        await self._try("holding its host back", blaming)

    async def trust(self) -> None:
        """Say that a worker could be started on its host, if that was in doubt. Never raises."""
        if self.resource.faults:
            trusting = self._service.leases.trust(self.resource.id)
            await self._try("trusting its host again", trusting)

    async def end(self, reason: str) -> None:
        """End the process and release the lease. Never raises, and is bounded in time.

        What fails here is not lost: the loop ends whatever the lease left on its host, and gives
        its slot to nobody before that.
        """
        await self._try("stopping buildbot-worker", self._process.stop())
        await self.release(reason)

    async def release(self, reason: str) -> None:
        """Release the lease, and leave the process to the loop. Likewise."""
        await release(self._service, self._terms, self._reactor, self.lease, reason)

    async def _try(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        await attempt(self._reactor, self._terms.stop_timeout, work, what, self.lease)


async def release(
    service: DrydockService, terms: Terms, reactor: Any, lease: Lease, reason: str
) -> None:
    """Release a lease, active or not. Never raises; if it fails, the lease expires."""
    releasing = service.leases.release(lease.id, reason)
    if not await attempt(reactor, terms.stop_timeout, releasing, "releasing the lease", lease):
        service.leases.drop(lease.id)


async def attempt(
    reactor: Any, seconds: float, work: Coroutine[Any, Any, None], what: str, lease: Lease
) -> bool:
    """Do *work* within a limit; tell whether it succeeded, and log how it failed."""
    try:
        await within(reactor, seconds, work, what)
    except Exception:  # noqa: BLE001 - whatever it is, the worker must come to an end
        _log.failure("lease {lease}: {what} failed", lease=lease.id, what=what)
        return False
    return True
