"""Which instances would do, and which of them there are none of just now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.ec2.candidates import (
    LONGEST_WAIT_SECONDS,
    Candidate,
    Market,
    Shortages,
    candidates,
    markets,
    quota_bucket,
)

TYPES = st.lists(
    st.sampled_from(["m7i.large", "c7i.large", "g5.xlarge", "p4d.24xlarge"]),
    min_size=1,
    unique=True,
)
PLACES = st.lists(st.sampled_from(["a", "b", "c"]), unique=True)
MARKETS = st.lists(st.sampled_from(Market), min_size=1, unique=True)


class TestCandidates(SynchronousTestCase):
    @given(TYPES, PLACES, MARKETS)
    def test_each_type_is_tried_in_each_place_before_the_next(
        self, types: list[str], places: list[str], tried: list[Market]
    ) -> None:
        found = candidates(types, places, tried)
        self.assertEqual(len(found), len(types) * max(1, len(places)) * len(tried))
        self.assertEqual(len(set(found)), len(found))
        order = [
            (tried.index(c.market), types.index(c.instance_type), (places or [""]).index(c.place))
            for c in found
        ]
        self.assertEqual(order, sorted(order))

    @given(st.integers(0, 9), st.integers(0, 9), st.booleans())
    def test_the_lowest_places_are_on_demand(self, place: int, base: int, fallback: bool) -> None:
        found = markets(spot=True, on_demand_base=base, fallback=fallback, place=place)
        if place < base:
            self.assertEqual(found, (Market.ON_DEMAND,))
        else:
            self.assertEqual(found[0], Market.SPOT)
            self.assertEqual(Market.ON_DEMAND in found, fallback)

    def test_without_spot_all_are_on_demand(self) -> None:
        found = markets(spot=False, on_demand_base=0, fallback=True, place=5)
        self.assertEqual(found, (Market.ON_DEMAND,))

    def test_types_that_share_a_quota_are_known(self) -> None:
        standard = {
            quota_bucket(each) for each in ("m7i.large", "c5.metal", "t3.micro", "i4i.large")
        }
        self.assertEqual(len(standard), 1)
        for other in ("g5.xlarge", "p4d.24xlarge", "inf2.xlarge", "trn1.2xlarge", "x2idn.metal"):
            self.assertNotIn(quota_bucket(other), standard)


class TestShortages(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.shortages = Shortages(self.clock, lambda: 1.0)
        self.all = candidates(["m7i.large", "c7i.large", "g5.xlarge"], ["a", "b"], Market)

    def available(self) -> list[Candidate]:
        return list(self.shortages.available(self.all))

    def test_one_is_left_out_alone_and_the_order_stays(self) -> None:
        self.shortages.note(self.all[1], "none")
        self.assertEqual(self.available(), [self.all[0], *self.all[2:]])

    def test_it_is_left_out_for_longer_each_time(self) -> None:
        waits = []
        for _ in range(8):
            self.shortages.note(self.all[0], "none")
            shortage = self.shortages.current(self.all[0])
            assert shortage is not None
            waits.append(shortage.until - self.clock.seconds())
            self.clock.advance(waits[-1])
            self.assertIn(self.all[0], self.available())
        self.assertEqual(waits[:3], [60.0, 120.0, 240.0])
        self.assertEqual(waits[-1], LONGEST_WAIT_SECONDS)

    def test_what_was_asked_for_many_times_at_once_counts_once(self) -> None:
        for _ in range(5):
            self.shortages.note(self.all[0], "none")
        self.clock.advance(60)
        self.assertIn(self.all[0], self.available())

    def test_after_a_success_it_begins_anew(self) -> None:
        self.shortages.note(self.all[0], "none")
        self.clock.advance(60)
        self.shortages.forget(self.all[0])
        self.shortages.note(self.all[0], "none")
        self.clock.advance(60)
        self.assertIn(self.all[0], self.available())

    def test_the_random_part_shortens_a_wait_by_a_quarter_at_most(self) -> None:
        shortages = Shortages(self.clock, lambda: 0.0)
        shortages.note(self.all[0], "none")
        shortage = shortages.current(self.all[0])
        assert shortage is not None
        self.assertEqual(shortage.until, 45.0)

    def test_a_quota_counts_for_its_types_in_its_market(self) -> None:
        self.shortages.note_quota(self.all[0], "vCPU limit", self.all)
        self.assertEqual(
            {(each.instance_type, each.market) for each in self.available()},
            {
                ("g5.xlarge", Market.ON_DEMAND),
                ("m7i.large", Market.SPOT),
                ("c7i.large", Market.SPOT),
                ("g5.xlarge", Market.SPOT),
            },
        )

    def test_each_reason_is_told_once(self) -> None:
        for each in self.all:
            self.shortages.note(each, "none left")
        sentence = self.shortages.sentence(self.all)
        self.assertEqual(sentence, "none left. The first is tried again in 60 s")
