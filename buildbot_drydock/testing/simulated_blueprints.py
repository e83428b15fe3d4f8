"""Blueprints at random, and how the clouds behave that they launch on."""

from __future__ import annotations

from random import Random
from typing import Final

from buildbot_drydock.latent.synthetic import Script
from buildbot_drydock.model import Blueprint, Placement
from buildbot_drydock.testing.simulated_access import some_rules
from buildbot_drydock.testing.simulated_hosts import some_hosts

HIGHEST_PRICE: Final = 1.0  # an hour; nothing becomes dearer, or no launch would be to blame


def some_blueprint(random: Random, name: str, *, guarded: bool) -> Blueprint:
    """Return a blueprint; not everybody may use one that is *guarded*."""
    pick = random.choice
    hosts = pick([None, None, some_hosts(random)])
    return Blueprint(
        name=name,
        kind="synthetic",
        limit=pick([1, 2, 3, 4]),
        leases_per_resource=pick([1, 1, 2, 3]),
        choices={"image": ("old", "new")},
        placement=pick(list(Placement)),
        min_ready=pick([0, 0, 1]),
        idle_timeout=pick([0.0, 30.0, 600.0, None]),
        max_uses=pick([None, None, 1, 3]),
        max_age=pick([None, None, 200.0]),
        boot_timeout=pick([60.0, 900.0]),
        listing_delay=pick([0.0, 0.0, 10.0]),
        poll_interval=pick([1.0, 5.0]),
        failure_budget=pick([2, 5]),
        parks=hosts is None and pick([False, True]),
        park_for=pick([None, 100.0, 1000.0]),
        max_parked=pick([None, None, 1]),
        prepares=pick([False, True]),
        vacates=True,
        hosts=hosts,
        max_hourly_cost=pick([None, None, 1.0, 2.0]) if hosts is None else None,
        expected_price=HIGHEST_PRICE,
        **(some_rules(random) if guarded else {}),
    )


def some_script(random: Random, blueprint: Blueprint) -> Script:
    """Return how the cloud of a blueprint behaves as long as nothing goes wrong."""
    pick = random.choice
    mortal = blueprint.hosts is None and random.random() < 0.3
    return Script(
        boot_seconds=pick([0.0, 0.0, 10.0, 40.0]),
        capacity=pick([1_000, 1_000, 2]),
        listing_delay_seconds=blueprint.listing_delay,
        teardown_seconds=pick([0.0, 0.0, 20.0]),
        lifetime_seconds=pick([100.0, 300.0]) if mortal else None,
        notice_seconds=pick([0.0, 60.0, 120.0]),
        park_seconds=pick([0.0, 0.0, 20.0]),
        parkable=random.random() < 0.9,
        hourly_price=pick([None, HIGHEST_PRICE, HIGHEST_PRICE / 2]),
    )
