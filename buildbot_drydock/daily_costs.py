"""What a blueprint has cost in a day, and what it may still spend: pure functions of values.

A day is the last 24 hours, so that there is no midnight at which everything may be spent again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from buildbot_drydock.costs import HOUR_SECONDS, launches_within
from buildbot_drydock.model import Blueprint, Power, Resource, ResourceStatus

DAY_SECONDS: Final = 24 * HOUR_SECONDS
_RUNNING: Final = (Power.RUNNING, Power.WAKING)


def daily_spending(
    blueprint: Blueprint, living: Iterable[Resource], of_ended: float, now: float
) -> float:
    """Return what a blueprint's resources cost in the last day, and what is as good as spent.

    *of_ended* is what those cost that are destroyed by now. One that runs counts for an hour at
    least: otherwise all that were just launched would look free. One whose price is not known yet
    counts as much as the next one is expected to.
    """
    return of_ended + sum(_cost(blueprint, resource, now) for resource in living)


def cost_of_ended(resource: Resource, now: float) -> float:
    """Return what a destroyed resource cost in the last day, as far as that is known."""
    ended_ago = now - resource.since
    lived = resource.since - resource.created_at - resource.parked_until(resource.since)
    seconds = max(0.0, min(lived, DAY_SECONDS - ended_ago))
    return (resource.hourly_price or 0.0) * seconds / HOUR_SECONDS


def _cost(blueprint: Blueprint, resource: Resource, now: float) -> float:
    price = resource.hourly_price
    if price is None:
        price = blueprint.expected_price or 0.0
    lived = now - resource.created_at - resource.parked_until(now)
    seconds = max(0.0, min(lived, DAY_SECONDS))
    if resource.status in (ResourceStatus.PENDING, ResourceStatus.ACTIVE):
        runs = resource.power in _RUNNING
        seconds += max(0.0, resource.started_at + HOUR_SECONDS - now) if runs else 0.0
    return price * seconds / HOUR_SECONDS


def launches_left_in_a_day(blueprint: Blueprint, spent: float) -> float:
    """Return how many more may be launched while *spent* was spent in the last day."""
    return launches_within(blueprint.max_daily_cost, blueprint.expected_price, spent)
