"""What things cost, and how much more may be spent."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.costs import (
    PRICE_AGAIN_SECONDS,
    hourly_share,
    hourly_spending,
    launches_left,
    lease_cost,
    money,
    news_of_price,
    resource_cost,
)
from buildbot_drydock.model import LeaseStatus, Resource, ResourceStatus
from buildbot_drydock.testing.builders import NOW, blueprint, lease, observed, pending, resource


def priced(price: float | None = 2.0, **fields: Any) -> Resource:
    return resource(hourly_price=price, created_at=NOW - 1800, **fields)


class TestCosts(SynchronousTestCase):
    def test_money_is_read_easily(self) -> None:
        amounts = (0, 3, 0.5, 0.0416, 1234.5, 0.00001)
        expected = ["0", "3", "0.5", "0.0416", "1234.5", "0"]
        self.assertEqual([money(each) for each in amounts], expected)

    def test_a_living_resource_has_cost_what_it_cost_so_far(self) -> None:
        for status in (ResourceStatus.PENDING, ResourceStatus.ACTIVE, ResourceStatus.RELEASED):
            self.assertEqual(resource_cost(priced(status=status), NOW), 1.0)

    def test_a_destroyed_one_costs_nothing_more(self) -> None:
        gone = priced(status=ResourceStatus.DESTROYED, since=NOW - 900)
        self.assertEqual(resource_cost(gone, NOW), 0.5)

    def test_without_a_price_nobody_knows(self) -> None:
        self.assertIsNone(resource_cost(priced(None), NOW))
        self.assertIsNone(hourly_share(priced(None), 1))
        self.assertIsNone(lease_cost(lease(on=1, held_since=NOW - 9), None, NOW))

    def test_a_clock_that_is_behind_makes_no_negative_cost(self) -> None:
        self.assertEqual(resource_cost(priced(), NOW - 9_000), 0)
        self.assertEqual(lease_cost(lease(on=1, held_since=NOW + 9), 1.0, NOW), 0)

    def test_a_lease_pays_its_share_while_it_has_its_slot(self) -> None:
        share = hourly_share(priced(), 4)
        self.assertEqual(share, 0.5)
        held = lease(on=1, held_since=NOW - 3600)
        self.assertEqual(lease_cost(held, share, NOW), 0.5)
        ended = lease(on=1, held_since=NOW - 3600, status=LeaseStatus.DESTROYED, since=NOW - 1800)
        self.assertEqual(lease_cost(ended, share, NOW), 0.25)
        self.assertIsNone(lease_cost(lease(), share, NOW), "it never had a slot")


class TestNewsOfPrice(SynchronousTestCase):
    def news(self, known: Resource, price: float | None) -> float | None:
        return news_of_price(known, observed(known, hourly_price=price), NOW)

    def test_the_first_price_is_news(self) -> None:
        self.assertEqual(self.news(priced(None), 0.0), 0.0)
        self.assertIsNone(self.news(priced(None), None))

    def test_another_one_is_and_the_same_is_not(self) -> None:
        self.assertEqual(self.news(priced(2.0), 3.0), 3.0)
        self.assertIsNone(self.news(priced(0.3), 0.1 + 0.1 + 0.1))
        self.assertIsNone(self.news(priced(2.0), None))

    def test_but_not_soon_after_the_last(self) -> None:
        """Two masters that do not agree would write down one price after the other for ever."""
        since = NOW - PRICE_AGAIN_SECONDS
        self.assertIsNone(self.news(priced(2.0, priced_at=since + 1), 3.0))
        self.assertEqual(self.news(priced(2.0, priced_at=since), 3.0), 3.0)


class TestBudget(SynchronousTestCase):
    def test_one_without_a_price_counts_as_expected(self) -> None:
        both = [resource(1, hourly_price=2.0), pending(2)]
        self.assertEqual(hourly_spending(blueprint(expected_price=3.0), both), 5.0)
        self.assertEqual(hourly_spending(blueprint(), both), 2.0)

    def test_so_many_more_may_be_launched(self) -> None:
        linux = blueprint(max_hourly_cost=1.0, expected_price=0.25)
        for spent, left in ((0, 4), (0.25, 3), (0.8, 0), (1.0, 0), (7.0, 0)):
            self.assertEqual(launches_left(linux, spent), left, spent)

    def test_sums_of_prices_may_be_a_little_inexact(self) -> None:
        self.assertEqual(launches_left(blueprint(max_hourly_cost=0.3, expected_price=0.1), 0.0), 3)
        spent = 0.1 + 0.1 + 0.1
        self.assertEqual(
            launches_left(blueprint(max_hourly_cost=0.4, expected_price=0.1), spent), 1
        )

    def test_without_an_expected_price_it_goes_on_while_money_is_left(self) -> None:
        for price in (None, 0.0):
            linux = blueprint(max_hourly_cost=1.0, expected_price=price)
            self.assertGreater(launches_left(linux, 0.9), 1_000)
            self.assertEqual(launches_left(linux, 1.0), 0)

    def test_without_a_limit_there_is_no_end(self) -> None:
        self.assertGreater(launches_left(blueprint(expected_price=9.0), 1e9), 1_000)
