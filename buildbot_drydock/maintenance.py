"""What operators do: take blueprints and listed hosts out of service, and reclaim resources.

A change is one row that all masters share. Leases follow it from the next turn on. What is odd
about a command is a ``ValueError`` that names the argument and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from buildbot_drydock import events
from buildbot_drydock.interfaces import Clock, Store
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import (
    BlueprintState,
    HostState,
    LeaseStatus,
    Mode,
    Override,
    Resource,
    ResourceStatus,
)

_LET_GO = (ResourceStatus.RELEASED, ResourceStatus.BROKEN, ResourceStatus.DESTROYED)


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
        self._check_end(until)
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

    async def set_mode(
        self,
        name: str,
        mode: Mode,
        *,
        actor: str,
        reason: str = "",
        until: float | None = None,
    ) -> BlueprintState:
        """Take a blueprint out of service, or put it back; nothing if that is so without an end.

        What is remembered of its launches stays.
        """
        if mode is not Mode.ENABLED:
            self._check_end(until)
        changed = None
        while changed is None:
            seen = (await self._store.rows()).blueprints.get(name, BlueprintState(name=name))
            if mode is Mode.ENABLED and seen.mode_at(self._clock.seconds()) is mode:
                return seen
            wanted = replace(
                seen, mode=mode, mode_reason=reason, mode_author=actor, mode_until=until
            )
            record = events.ModeChanged(actor=actor, mode=mode.value, reason=reason, until=until)
            changed = await self._store.change_blueprint(seen, wanted, record)
        self._wake()
        return changed

    async def edit(
        self,
        name: str,
        values: Mapping[str, Any],
        reset: Collection[str],
        *,
        look: Callable[[Mapping[str, Override]], Mapping[str, Any]],
        check: Callable[[Mapping[str, Override]], None],
        actor: str,
        reason: str = "",
    ) -> BlueprintState:
        """Give fields of a blueprint other values than configured, and *reset* others to those.

        *check* is called with what was edited before and stays so, and raises for what is wrong
        with the edit. *look* tells what is in force with some edits, for the event.
        """
        changed = None
        while changed is None:
            seen = (await self._store.rows()).blueprints.get(name, BlueprintState(name=name))
            staying = {k: v for k, v in seen.overrides.items() if k not in reset}
            check(staying)
            now = self._clock.seconds()
            overrides = dict(staying)
            for field, value in values.items():
                overrides[field] = Override(value=value, author=actor, reason=reason, at=now)
            before, after = look(seen.overrides), look(overrides)
            touched = sorted({*values, *(k for k in reset if k in seen.overrides)})
            if not touched:
                return seen
            record = events.BlueprintEdited(
                actor=actor,
                before={field: before.get(field) for field in touched},
                after={field: after.get(field) for field in touched},
                reset=[field for field in touched if field not in values],
                reason=reason,
            )
            edited = replace(seen, overrides=overrides)
            changed = await self._store.change_blueprint(seen, edited, record)
        self._wake()
        return changed

    async def reclaim(
        self, number: int, *, actor: str, reason: str = "", break_leases: bool = False
    ) -> Resource | None:
        """Let go of a resource, if it is idle; ``None`` if there is no such resource.

        With *break_leases* it goes even if it is not, and the holders of its leases are told. A
        resource that is being let go of already is left alone.
        """
        why = f"reclaimed by {actor}" + (f": {reason}" if reason else "")
        resource = await self._store.resource(number)
        while resource is not None and resource.status not in _LET_GO:
            if await self._let_go(resource, actor, why, break_leases):
                self._wake()
                return await self._store.resource(number)
            resource = await self._store.resource(number)  # changed meanwhile
        return resource

    async def _let_go(self, seen: Resource, actor: str, why: str, break_leases: bool) -> bool:
        holding = await self._leases_on(seen.id)
        if not holding:
            released = events.ResourceReleased(actor=actor, reason=why)
            moved = await self._store.move_resource(
                seen, ResourceEvent.RELEASE, released, reason=why
            )
            return moved is not None
        if not break_leases:
            named = ", ".join(map(str, holding[:5])) + (", ..." if len(holding) > 5 else "")
            raise ValueError(
                f"break_leases: resource {seen.id} is not idle, leases hold it: {named}; release "
                "them first, or give true to have them broken"
            )
        broken = events.ResourceBroken(actor=actor, reason=why)
        moved = await self._store.move_resource(seen, ResourceEvent.BREAK, broken, reason=why)
        return moved is not None

    async def _leases_on(self, number: int) -> list[int]:
        rows = await self._store.rows()
        return [
            lease.id
            for lease in rows.leases
            if lease.resource == number and lease.status is not LeaseStatus.DESTROYED
        ]

    def _check_end(self, until: float | None) -> None:
        if until is not None and until <= self._clock.seconds():
            raise ValueError("until: it has passed; give a time to come, or none for good")

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
