"""What one blueprint may still spend, an hour and in a day."""

from __future__ import annotations

from collections.abc import Iterable

from buildbot_drydock.costs import hourly_spending, is_limited, launches_left
from buildbot_drydock.daily_costs import daily_spending, launches_left_in_a_day
from buildbot_drydock.model import Blueprint, Resource
from buildbot_drydock.planner.survey import Survey
from buildbot_drydock.reasons import OverBudget


class Budget:
    """Used up while the planner places leases, as ``Stock`` is."""

    def __init__(self, survey: Survey, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._limited = is_limited(blueprint)
        self._spent = self._spent_in_a_day = 0.0
        self._reserved = 0.0  # for what is to be launched once there is money
        self._freeable: float | None = None  # not needed in most plans
        resources = survey.of_blueprint[blueprint.name]
        if blueprint.max_hourly_cost is not None:
            self._spent = hourly_spending(blueprint, resources)
        if blueprint.max_daily_cost is not None:
            ended = survey.world.spent.get(blueprint.name, 0.0)
            self._spent_in_a_day = daily_spending(blueprint, resources, ended, survey.now)

    @property
    def is_spent(self) -> bool:
        """Tell whether one more resource would take the blueprint over a limit."""
        return self._limited and (self._lacks_money_of_the_day or self._lacks_money)

    @property
    def _lacks_money(self) -> bool:
        return launches_left(self._blueprint, self._spent + self._reserved) < 1

    @property
    def _lacks_money_of_the_day(self) -> bool:
        spent = self._spent_in_a_day + self._reserved
        return launches_left_in_a_day(self._blueprint, spent) < 1

    def take(self) -> None:
        """Spend what an hour of the next resource is expected to cost."""
        self._spent += self._blueprint.expected_price or 0.0
        self._spent_in_a_day += self._blueprint.expected_price or 0.0

    def reserve(self) -> None:
        """Keep money for a resource whose lease waits until others are gone."""
        self._reserved += self._blueprint.expected_price or 0.0

    def could_be_freed(self, idle: Iterable[Resource]) -> bool:
        """Tell whether one more could be afforded if all these were gone, as first asked about.

        What was spent in a day is not had back.
        """
        if not self._limited:
            return True
        if self._lacks_money_of_the_day:
            return False
        if not self._lacks_money:
            return True
        if self._freeable is None:
            self._freeable = hourly_spending(self._blueprint, idle)
        spent = self._spent + self._reserved - self._freeable
        return launches_left(self._blueprint, spent) >= 1

    def reason(self) -> OverBudget:
        """Return why no more is launched; the day, if it is both, as that takes longer."""
        blueprint = self._blueprint
        of_the_day = self._lacks_money_of_the_day
        limit = blueprint.max_daily_cost if of_the_day else blueprint.max_hourly_cost
        assert limit is not None
        return OverBudget(
            blueprint=blueprint.name,
            spent=self._spent_in_a_day if of_the_day else self._spent,
            limit=limit,
            price=blueprint.expected_price,
            period="day" if of_the_day else "hour",
        )
