"""What operators do: take listed hosts out of service, and put them back.

A change is one row that all masters share. Leases follow it from the next turn on, and no claim
made before the change succeeds after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from buildbot_drydock import events
from buildbot_drydock.interfaces import Clock, Store
from buildbot_drydock.model import HostState, Mode


class Maintenance:
    """*wake* asks for a turn."""

    def __init__(self, store: Store, clock: Clock, wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake

    async def disable_host(
        self,
        name: str,
        *,
        actor: str,
        reason: str = "",
        until: float | None = None,
        at_once: bool = False,
    ) -> HostState:
        """Give a listed host no new leases, and let go of it after its last one.

        With *at_once* the leases it has are broken, and their holders told. *until* is when it
        returns by itself, in seconds since the epoch. Raises ``ValueError`` naming the field if a
        value can't be right. A host that no blueprint lists is noted all the same: another master
        may list it, or this one later.
        """
        if not name:
            raise ValueError("name: it is empty; give the name of a listed host")
        if until is not None and until <= self._clock.seconds():
            raise ValueError(
                "until: it has passed; give a time to come, or none to disable the host for good"
            )
        wanted = HostState(
            name=name,
            mode=Mode.DISABLED,
            at_once=at_once,
            mode_reason=reason,
            mode_author=actor,
            mode_until=until,
        )
        return await self._change(wanted)

    async def enable_host(self, name: str, *, actor: str, reason: str = "") -> HostState:
        """Put a host back into service; nothing if it is."""
        rows = await self._store.rows()
        state = rows.hosts.get(name, HostState(name=name))
        if not state.disabled_at(self._clock.seconds()):
            return state
        return await self._change(HostState(name=name, mode_reason=reason, mode_author=actor))

    async def _change(self, wanted: HostState) -> HostState:
        """Make the change whatever the state is by then: of two operators the later one counts."""
        record = events.HostModeChanged(
            actor=wanted.mode_author,
            host=wanted.name,
            mode=wanted.mode.value,
            reason=wanted.mode_reason,
            until=wanted.mode_until,
            at_once=wanted.at_once,
        )
        changed = None
        while changed is None:
            rows = await self._store.rows()
            seen = rows.hosts.get(wanted.name, HostState(name=wanted.name))
            changed = await self._store.change_host(
                seen, replace(wanted, version=seen.version), record
            )
        self._wake()
        return changed
