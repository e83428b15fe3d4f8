"""``ReleaseLease``: give a lease back before the build ends."""

from __future__ import annotations

from typing import Any

from buildbot.process.results import SKIPPED, SUCCESS

from buildbot_drydock.build_leases import NotHeld
from buildbot_drydock.steps.common import LeaseStep, check_lease_name, step_name


class ReleaseLease(LeaseStep):
    """Give back what ``LeaseResource`` took: ``ReleaseLease('matlab')``.

    *lease* is the name that it was given there; without, it is the only one that the build has. A
    build that has none of that name, as it never took it or has lost it, goes on.
    """

    renderables = ("lease",)

    def __init__(self, lease: Any = None, **arguments: Any) -> None:
        check_lease_name("ReleaseLease", lease)
        self.lease = lease
        arguments.setdefault("name", step_name("release", lease or "lease"))
        super().__init__(**arguments)

    async def work(self) -> int:
        try:
            holding = await self.leases.give_back(self.lease, "its build needs it no more")
        except NotHeld as error:
            self._outcome = str(error)
            return SKIPPED
        self._outcome = f"lease {holding.lease.id} on {holding.resource.blueprint} released"
        return SUCCESS
