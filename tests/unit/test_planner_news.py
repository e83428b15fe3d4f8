"""A provider that has news is listed at once, however lately it was."""

from __future__ import annotations

from dataclasses import replace

from buildbot_drydock.actions import ListHosts
from buildbot_drydock.model import Call, CallKey
from buildbot_drydock.testing.builders import NOW, blueprint, inventory, resource, world
from tests.unit.planned import PlannerTestCase


class TestNews(PlannerTestCase):
    def test_a_stale_listing_is_made_anew_at_once(self) -> None:
        for stale in (False, True):
            with self.subTest(stale=stale):
                listed = replace(inventory(resource(), asked_at=NOW), stale=stale)
                given = world(blueprint(), resources=[resource()], inventories={"linux": listed})
                expected = [ListHosts("linux")] if stale else []
                self.assertEqual(self.planned(given, ListHosts), expected)

    def test_but_not_while_one_is_under_way_or_put_off(self) -> None:
        for call in (Call(running=True), Call(failures=1, retry_at=NOW + 5)):
            listed = replace(inventory(asked_at=NOW), stale=True)
            calls = {CallKey("inventory", "linux"): call}
            given = world(blueprint(), inventories={"linux": listed}, calls=calls)
            self.assertEqual(self.planned(given, ListHosts), [])
