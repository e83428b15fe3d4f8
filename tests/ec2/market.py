"""Capacity, quotas and prices, all set by the test."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from .moto_parts import cores_of
from .problems import EC2Error
from .records import Instance

OCCUPYING = frozenset({"pending", "running"})


class Capacity:
    """How many instances each pool of capacity (type, zone, market) holds; without end if not set.

    A rule names pools by patterns with `*`; of the rules that fit a pool, the last one counts.
    """

    def __init__(self) -> None:
        self._rules: list[tuple[str, str, str, float]] = []
        self._not_offered: list[tuple[str, str]] = []

    def set(
        self, instances: float, *, instance_type: str = "*", zone: str = "*", market: str = "*"
    ) -> None:
        """Each pool that fits holds that many instances at a time; the market is `spot` or
        `on-demand`."""
        self._rules.append((instance_type, zone, market, instances))

    def clear(self) -> None:
        """Every pool is without end again, and every type offered everywhere."""
        self._rules.clear()
        self._not_offered.clear()

    def withdraw(self, instance_type: str, zone: str = "*") -> None:
        """A zone does not offer a type at all: `Unsupported`."""
        self._not_offered.append((instance_type, zone))

    def offers(self, instance_type: str, zone: str) -> bool:
        """Whether a zone offers a type."""
        return not any(
            fnmatchcase(instance_type, kind) and fnmatchcase(zone, where)
            for kind, where in self._not_offered
        )

    def size(self, instance_type: str, zone: str, market: str) -> float:
        """How many instances a pool holds."""
        found = math.inf
        for kind, where, how, instances in self._rules:
            if (
                fnmatchcase(instance_type, kind)
                and fnmatchcase(zone, where)
                and fnmatchcase(market, how)
            ):
                found = instances
        return found

    def left(self, instance_type: str, zone: str, market: str, all_of: Iterable[Instance]) -> float:
        """How many more instances a pool can give."""
        taken = sum(
            1
            for instance in all_of
            if instance.state in OCCUPYING
            and (instance.instance_type, instance.zone, instance.market)
            == (instance_type, zone, market)
        )
        return max(0.0, self.size(instance_type, zone, market) - taken)


@dataclass
class Quotas:
    """Limits of the account; None is no limit."""

    on_demand_cores: int | None = None
    spot_cores: int | None = None
    instances: int | None = None

    def check(self, instance_type: str, market: str, more: int, all_of: list[Instance]) -> None:
        """Raise the documented error if so many more instances would exceed a quota."""
        occupying = [instance for instance in all_of if instance.state in OCCUPYING]
        if self.instances is not None and len(occupying) + more > self.instances:
            raise EC2Error(
                "InstanceLimitExceeded",
                f"You have requested more instances ({len(occupying) + more}) than your current"
                f" instance limit of {self.instances} allows for the specified instance type.",
            )
        limit = self.spot_cores if market == "spot" else self.on_demand_cores
        if limit is None:
            return
        cores = more * cores_of(instance_type) + sum(
            cores_of(instance.instance_type) for instance in occupying if instance.market == market
        )
        if cores <= limit:
            return
        if market == "spot":
            raise EC2Error("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        raise EC2Error(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows"
            " for the instance bucket that the specified instance type belongs to.",
        )


@dataclass
class Prices:
    """Prices in dollars per instance and hour; a pattern with `*` names types and zones."""

    default_on_demand: float = 0.10
    default_spot: float = 0.03
    on_demand: dict[str, float] = field(default_factory=dict)
    changes: list[tuple[float, str, str, float]] = field(default_factory=list)

    def set_spot(
        self, price: float, *, instance_type: str = "*", zone: str = "*", at: float = 0.0
    ) -> None:
        """The Spot price of the pools that fit, from a moment of the server's clock on."""
        self.changes.append((at, instance_type, zone, price))

    def history(self, instance_type: str, zone: str) -> list[tuple[float, float]]:
        """(since when, price), oldest first."""
        fitting = [
            (at, price)
            for at, kind, where, price in self.changes
            if fnmatchcase(instance_type, kind) and fnmatchcase(zone, where)
        ]
        return [(0.0, self.default_spot), *sorted(fitting, key=lambda change: change[0])]

    def spot_price(self, instance_type: str, zone: str, now: float) -> float:
        """The Spot price of a pool now."""
        return [price for at, price in self.history(instance_type, zone) if at <= now][-1]

    def price(self, instance_type: str, zone: str, market: str, now: float) -> float:
        """What an instance costs in an hour."""
        if market == "spot":
            return self.spot_price(instance_type, zone, now)
        return self.on_demand.get(instance_type, self.default_on_demand)
