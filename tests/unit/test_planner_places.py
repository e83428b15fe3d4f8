"""What is made of a listing that some places are missing from."""

from __future__ import annotations

from dataclasses import replace

from buildbot_drydock.actions import CreateHost, DestroyStray, SettleResource
from buildbot_drydock.lifecycle import ResourceEvent
from buildbot_drydock.model import Call, CallKey, Inventory, ResourceStatus, World
from buildbot_drydock.testing.builders import (
    NOW,
    blueprint,
    inventory,
    observed,
    pending,
    resource,
    succeeded,
    world,
)
from tests.unit.planned import PlannerTestCase

BREAK, GONE = ResourceEvent.BREAK, ResourceEvent.GONE


def without(*places: str, listed: Inventory | None = None) -> Inventory:
    """Return a listing of all places but some."""
    return replace(inventory() if listed is None else listed, unlisted=frozenset(places))


class TestPlacesThatAreNotListed(PlannerTestCase):
    def world(self, row: object, listed: Inventory, **calls: Call) -> World:
        made = {CallKey(verb, "linux", "token-1"): call for verb, call in calls.items()}
        return world(blueprint(), resources=[row], inventories={"linux": listed}, calls=made)

    def test_what_is_there_is_not_judged_gone(self) -> None:
        there = resource(address="a")
        self.assertEqual(self.planned(self.world(there, without("a")), SettleResource), [])

    def test_what_is_elsewhere_is(self) -> None:
        elsewhere = resource(address="b")
        self.assert_plans(
            self.world(elsewhere, without("a")),
            SettleResource(elsewhere, BREAK, "its host has gone"),
        )

    def test_what_is_leaving_there_is_not_closed(self) -> None:
        for place, closed in (("a", False), ("b", True)):
            with self.subTest(place=place):
                leaving = resource(address=place, status=ResourceStatus.RELEASED)
                planned = self.planned(
                    self.world(leaving, without("a"), destroy=succeeded(1.0)), SettleResource
                )
                self.assertEqual([each.event for each in planned], [GONE] if closed else [])

    def test_what_was_asked_for_and_may_be_there_is_not_asked_for_again(self) -> None:
        coming = pending()
        asked = self.world(coming, without("a"), create=succeeded(90))
        self.assertEqual(self.planned(asked, CreateHost), [])
        asked = self.world(coming, without(), create=succeeded(90))
        self.assertEqual(self.planned(asked, CreateHost), [CreateHost(coming)])

    def test_what_was_never_asked_for_here_is_asked_for(self) -> None:
        coming = pending()
        asked = self.planned(self.world(coming, without("a")), CreateHost)
        self.assertEqual(asked, [CreateHost(coming)])

    def test_what_takes_too_long_is_given_up_all_the_same(self) -> None:
        late = pending(since=NOW - 900)
        (given_up,) = self.planned(
            self.world(late, without("a"), create=succeeded(900)), SettleResource
        )
        self.assertEqual(given_up.event, BREAK)

    def test_strays_elsewhere_are_destroyed(self) -> None:
        stray = without("a", listed=inventory(observed("token-9", address="b")))
        planned = self.planned(world(blueprint(), inventories={"linux": stray}), DestroyStray)
        self.assertEqual([each.token for each in planned], ["token-9"])
