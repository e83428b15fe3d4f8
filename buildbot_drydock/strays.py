"""Hosts that nobody accounts for, in people's hands: what the ledger shows, and its end by hand.

The sweep destroys them by itself. People come here when it has to put that off, and before it does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from buildbot_drydock.controller import Configured
from buildbot_drydock.interfaces import Clock, Store
from buildbot_drydock.ledger import Entry, Verdict, entries, find
from buildbot_drydock.model import ResourceStatus, World
from buildbot_drydock.planner.survey import Survey
from buildbot_drydock.provider_calls import ProviderCalls


class Strays:
    """*blueprints* answers what *master* has configured at a moment."""

    def __init__(
        self,
        store: Store,
        calls: ProviderCalls,
        blueprints: Configured,
        clock: Clock,
        master: int | None = None,
    ) -> None:
        self._store = store
        self._calls = calls
        self._blueprints = blueprints
        self._clock = clock
        self._master = master

    async def world(self) -> World:
        """Return what a ledger is made of: the last inventories, and the rows as they are now.

        The inventories are taken first. A row is always written before its host is asked for, so a
        host without a row is nobody's, not merely new.
        """
        inventories, calls = self._calls.inventories(), self._calls.snapshot()
        rows = await self._store.rows()
        now = self._clock.seconds()
        return World(
            now=now,
            blueprints=tuple(self._blueprints(now, rows.blueprints)),
            hosts=rows.hosts,
            resources=rows.resources,
            inventories=inventories,
            calls=calls,
            master=self._master,
        )

    async def destroy(
        self, blueprint: str, token: str, identity: str, *, actor: str, reason: str = ""
    ) -> Entry | None:
        """Destroy a host that is nobody's; ``None`` if the provider lists no such.

        It goes the way of the sweep, by token and identity, and at once even if that has to wait.
        Raises ``ValueError`` with the remedy if a resource accounts for the host.
        """
        found = await self._find(blueprint, token, identity)
        if found is None or found.host is None:
            return None
        if not found.is_nobodys:
            raise ValueError(_not_to_be_destroyed(found))
        why = f"destroyed by {actor}" + (f": {reason}" if reason else "")
        # Of an orphan all that bears the token goes, as nothing of it is anybody's.
        which = "" if found.verdict is Verdict.ORPHAN else found.identity
        self._calls.destroy_stray(blueprint, token, which, why, actor=actor)
        return found

    async def adopt(self, blueprint: str, token: str, identity: str) -> NoReturn:
        """Refuse to make a host a resource's again, with the reason. See decision 0019."""
        found = await self._find(blueprint, token, identity)
        row = None if found is None else found.resource
        if row is not None and found is not None and found.verdict is not Verdict.TWIN:
            raise ValueError(f"adopt: resource {row.id} accounts for this host already")
        raise ValueError(
            "adopt: a host that no resource accounts for is told to go as soon as a master lists "
            "it, and may be going already; what it was built as is not known to the provider "
            "either. Remedy: destroy it, and let a lease have another one built"
        )

    async def _find(self, blueprint: str, token: str, identity: str) -> Entry | None:
        world = await self.world()
        # By token alone, a row of whichever blueprint accounts for a host.
        near = tuple(r for r in world.resources if blueprint == r.blueprint or token == r.token)
        survey = Survey(replace(world, resources=near))
        own = [each for each in entries(survey) if each.blueprint == blueprint]
        return find(own, token, identity)


def _not_to_be_destroyed(entry: Entry) -> str:
    row = entry.resource
    assert row is not None
    if row.status in (ResourceStatus.RELEASED, ResourceStatus.BROKEN):
        return (
            f"destroy: the host is being destroyed with resource {row.id}, which is "
            f"{row.status.value}; wait until that is closed"
        )
    if entry.verdict is Verdict.TWIN:
        return (
            f"destroy: it is not settled which of the hosts with this token resource {row.id} "
            f"uses; wait until it is, or reclaim resource {row.id}, with which all of them go"
        )
    return f"destroy: resource {row.id} accounts for this host; reclaim that resource instead"
