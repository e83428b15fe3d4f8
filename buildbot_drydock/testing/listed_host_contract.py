"""What every store must do for listed hosts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from buildbot_drydock import events, slotlocks
from buildbot_drydock.model import HostState, Mode, ResourceRequest
from buildbot_drydock.testing.store_case import StoreCase


class ListedHostContract(StoreCase):
    """A part of ``StoreContract``."""

    def disabled(self, name: str = "build1", **fields: Any) -> HostState:
        return HostState(**{"name": name, "mode": Mode.DISABLED, "mode_author": "ada", **fields})

    async def disable(self, wanted: HostState, seen: HostState | None = None) -> HostState | None:
        record = events.HostModeChanged(
            actor="ada", host=wanted.name, mode="disabled", reason="", until=None, at_once=False
        )
        return await self.store.change_host(seen or HostState(name=wanted.name), wanted, record)

    async def test_a_listed_host_changes_by_version(self) -> None:
        wanted = self.disabled(at_once=True, mode_reason="disk swap", mode_until=12.5)
        first = await self.disable(wanted)
        self.assertEqual(first, replace(wanted, version=1))
        self.assertEqual((await self.other.rows()).hosts, {"build1": first})
        enabled = await self.disable(HostState(name="build1"), first)
        self.assertEqual(enabled, HostState(name="build1", version=2))
        self.assertEqual((await self.other.rows()).hosts, {"build1": enabled})

    async def test_a_stale_listed_host_changes_nothing(self) -> None:
        first = await self.disable(self.disabled())
        self.assertIsNone(await self.disable(HostState(name="build1")))
        assert first is not None
        second = await self.disable(HostState(name="build1"), first)
        self.assertIsNone(await self.disable(self.disabled(), first))
        self.assertEqual((await self.other.rows()).hosts, {"build1": second})

    async def test_a_claim_made_before_its_host_was_disabled_is_refused(self) -> None:
        on_host = await self.active(host="build1")
        elsewhere = await self.active(place=1, host="build2")
        before = await self.store.rows()
        await self.disable(self.disabled())
        first, second = await self.requested(), await self.requested()
        claims = [self.claim(first, on_host), self.claim(second, elsewhere)]
        refused, given = await self.store.acquire(claims)
        self.assertIsNone(refused)
        self.assertIsNotNone(given)
        self.assertEqual([each.host for each in before.resources], ["build1", "build2"])

    async def test_a_host_that_is_disabled_after_a_claim_keeps_its_lease(self) -> None:
        on_host = await self.active(host="build1")
        (given,) = await self.store.acquire([self.claim(await self.requested(), on_host)])
        await self.disable(self.disabled())
        self.assertEqual((await self.store.rows()).leases, (given,))

    async def test_a_listed_host_is_given_to_one_resource(self) -> None:
        lock = slotlocks.host("build1")
        first = await self.added(host="build1", locks=(slotlocks.place("linux", 0), lock))
        self.assertEqual(first.host, "build1")
        request = ResourceRequest(
            blueprint="other",
            token="other-token",
            place=0,
            host="build1",
            locks=(slotlocks.place("other", 0), lock),
        )
        record = events.ResourceRequested(built_for=None)
        self.assertIsNone(await self.other.add_resource(request, record))
