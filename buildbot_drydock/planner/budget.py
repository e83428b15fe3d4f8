"""What one blueprint may still spend an hour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from buildbot_drydock.costs import hourly_spending, launches_left
from buildbot_drydock.model import Blueprint, Resource
from buildbot_drydock.reasons import OverBudget


class Budget:
    """Used up while the planner places leases, as ``Stock`` is."""

    def __init__(self, blueprint: Blueprint, resources: Sequence[Resource]) -> None:
        self._blueprint = blueprint
        self._limited = blueprint.max_hourly_cost is not None
        self._spent = hourly_spending(blueprint, resources) if self._limited else 0.0
        self._reserved = 0.0  # for what is to be launched once there is money
        self._freeable: float | None = None  # not needed in most plans

    @property
    def is_spent(self) -> bool:
        """Tell whether one more resource would take the blueprint over its limit."""
        return self._limited and self._launches_left(self._spent + self._reserved) < 1

    def take(self) -> None:
        """Spend what the next resource is expected to cost."""
        self._spent += self._blueprint.expected_price or 0.0

    def reserve(self) -> None:
        """Keep money for a resource whose lease waits until others are gone."""
        self._reserved += self._blueprint.expected_price or 0.0

    def could_be_freed(self, idle: Iterable[Resource]) -> bool:
        """Tell whether one more could be afforded if all these were gone, as first asked about."""
        if not self.is_spent:
            return True
        if self._freeable is None:
            self._freeable = hourly_spending(self._blueprint, idle)
        return self._launches_left(self._spent + self._reserved - self._freeable) >= 1

    def _launches_left(self, spent: float) -> float:
        return launches_left(self._blueprint, spent)

    def reason(self) -> OverBudget:
        assert self._blueprint.max_hourly_cost is not None
        return OverBudget(
            blueprint=self._blueprint.name,
            spent=self._spent,
            limit=self._blueprint.max_hourly_cost,
            price=self._blueprint.expected_price,
        )
