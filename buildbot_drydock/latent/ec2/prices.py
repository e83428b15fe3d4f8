"""What an hour of an instance costs: on demand as the user says, spot as EC2 says.

A spot instance is told of at the price of its type and zone when it was started. Prices are those of
Linux, in USD; volumes, addresses and traffic are not in them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from twisted.logger import Logger

from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent.ec2.candidates import Candidate, Market
from buildbot_drydock.latent.ec2.causes import CallFailed
from buildbot_drydock.latent.ec2.images import Calls
from buildbot_drydock.latent.ec2.listing import Instance

REMEMBERED_SECONDS: Final = 600.0
_PRODUCT: Final = "Linux/UNIX"

# A type and a zone, and its prices with when each began, the oldest first.
History = Mapping[tuple[str, str], Sequence[tuple[float, float]]]


class Prices:
    """The prices of one pool's instances."""

    log = Logger()

    def __init__(
        self,
        calls: Calls,
        on_demand: Mapping[str, float],
        candidates: Sequence[Candidate],
        clock: Clock,
        *,
        max_price: float | None = None,
    ) -> None:
        """*max_price* is the most that is paid for an hour of a spot instance."""
        self._calls = calls
        self._on_demand = on_demand
        self._candidates = candidates
        self._clock = clock
        self._max_price = max_price
        self._history: History = {}
        self._since = self._asked_at = float("-inf")  # the time that it is of
        self._failed_at = float("-inf")
        self._at_start: dict[str, float] = {}  # of spot instances, by id

    def of(self, instance: Instance) -> float | None:
        """Return what an hour of an instance costs, if that is known."""
        if instance.market is Market.SPOT:
            return self._at_start.get(instance.id)
        return self._on_demand.get(instance.instance_type)

    def dearest(self) -> float | None:
        """Return what the dearest of the candidates costs; ``None`` if one's price is unknown."""
        prices = [self._of_candidate(each) for each in self._candidates]
        known = [each for each in prices if each is not None]
        return max(known) if known and len(known) == len(prices) else None

    def _of_candidate(self, candidate: Candidate) -> float | None:
        told = known_beforehand(candidate, self._on_demand, self._max_price)
        current = [
            changes[-1][1]
            for (kind, _), changes in self._history.items()
            if kind == candidate.instance_type and candidate.market is Market.SPOT
        ]
        if not current:
            return told
        # A subnet's zone is not known here, so it is the dearest of them all.
        limits = [max(current), *([] if self._max_price is None else [self._max_price])]
        return min(limits)

    async def learn(self, listed: Collection[Instance]) -> None:
        """Look up what the spot instances among *listed* cost when they were started.

        That is one call, and none while they are all known.
        """
        spot = [each for each in listed if each.market is Market.SPOT]
        living = {each.id for each in spot}
        self._at_start = {key: value for key, value in self._at_start.items() if key in living}
        self._price(spot)
        unpriced = [each for each in spot if each.id not in self._at_start and each.zone]
        now = self._clock.seconds()
        if unpriced and now >= self._failed_at + REMEMBERED_SECONDS:
            try:
                await self._look_up(unpriced, now)
            except CallFailed as failed:
                self.log.debug("no spot prices: {failed}", failed=failed)
            self._price(unpriced)
            if any(each.id not in self._at_start for each in unpriced):
                self._failed_at = now

    def _price(self, instances: Iterable[Instance]) -> None:
        for each in instances:
            at = each.launched_at
            if each.id in self._at_start or at is None:
                continue
            if self._since <= at < self._asked_at + REMEMBERED_SECONDS:
                changes = self._history.get((each.instance_type, each.zone))
                price = None if changes is None else price_at(changes, at)
                if price is not None:
                    self._at_start[each.id] = price

    async def _look_up(self, unpriced: Sequence[Instance], now: float) -> None:
        since = min([now, *(each.launched_at for each in unpriced if each.launched_at is not None)])
        of_the_pool = (each.instance_type for each in self._candidates)
        types = dict.fromkeys([*of_the_pool, *(each.instance_type for each in unpriced)])
        request = {
            "InstanceTypes": list(types),
            "ProductDescriptions": [_PRODUCT],
            "StartTime": datetime.fromtimestamp(since, timezone.utc),
            "EndTime": datetime.fromtimestamp(now, timezone.utc),
        }
        self._history = history(await self._calls.pages("DescribeSpotPriceHistory", request))
        self._since, self._asked_at = since, now


def known_beforehand(
    candidate: Candidate, on_demand: Mapping[str, float], max_price: float | None
) -> float | None:
    """Return what an hour of a candidate costs at most, as far as the user says.

    Nobody pays more for spot than what is asked for on demand, unless they say so.
    """
    told = on_demand.get(candidate.instance_type)
    if candidate.market is Market.ON_DEMAND:
        return told
    limits = [each for each in (told, max_price) if each is not None]
    return min(limits) if limits else None


def history(pages: Iterable[Mapping[str, Any]]) -> History:
    """Return what replies of DescribeSpotPriceHistory say.

    They begin with the price that held at the beginning of the time that was asked for.
    """
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for page in pages:
        for each in page.get("SpotPriceHistory", ()):
            key = (each["InstanceType"], each["AvailabilityZone"])
            change = (each["Timestamp"].timestamp(), float(each["SpotPrice"]))
            found.setdefault(key, []).append(change)
    return {key: sorted(changes) for key, changes in found.items()}


def price_at(changes: Sequence[tuple[float, float]], at: float) -> float | None:
    """Return the price that held at a time: the first one if that is before all."""
    before = [price for began, price in changes if began <= at]
    return before[-1] if before else changes[0][1] if changes else None
