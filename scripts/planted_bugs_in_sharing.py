"""Bugs in quotas, in the order of service and in the costs of a day; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import MEMORY, SQL, Bug, planter

QUOTAS = ("tests/unit/test_planner_quotas.py",)
ORDER = ("tests/unit/test_planner_order.py",)
OFFERS = ("tests/unit/test_offers_quotas.py",)
BUDGET = ("tests/unit/test_planner_budget.py",)
CONTROLLER = ("tests/unit/test_controller.py",)
EXECUTOR = ("tests/unit/test_executor.py",)
CONTENTION = ("tests/contract/test_quota_contention.py::TestContentionOnSqlite",)
STORMS = (
    "tests/simulation/test_storms.py::TestStorms::"
    "test_storms_pass_in_which_quotas_keep_leases_waiting_and_change",
)

BUGS: list[Bug] = []
_bug = planter(BUGS, "sharing")


# --- what a quota counts -------------------------------------------------------------------------

_bug(
    "quota.py",
    QUOTAS,
    "names are compared whatever their case",
    "fnmatchcase(name, self._whole)",
    "fnmatchcase(name.lower(), self._whole)",
)
_bug(
    "quota.py",
    QUOTAS,
    "long names that begin alike share their locks",
    '    return f"{head[: LONGEST_NAME - _HASHED - 1]}#{digest}"',
    "    return head[:LONGEST_NAME]",
)
_bug(
    "quota.py",
    QUOTAS,
    "of two limits of one name the last one holds",
    "min(quota.leases, limits.get(name, quota.leases))",
    "quota.leases",
)
_bug(
    "quota.py",
    QUOTAS,
    "each counts for all",
    'as_key(f"each {name}" if self.each else self.name)',
    "as_key(self.name)",
)

# --- planning ------------------------------------------------------------------------------------

_bug(
    "planner/quotas.py",
    QUOTAS,
    "one lease more than allowed is given",
    "if len(holders) + given >= limit:",
    "if len(holders) + given > limit:",
)
_bug(
    "planner/quotas.py",
    QUOTAS,
    "what is on its way to others is not counted",
    "if len(holders) + given >= limit:",
    "if len(holders) >= limit:",
)
_bug(
    "planner/quotas.py",
    QUOTAS,
    "leases that are older than a quota are not counted",
    "        if lease.resource is not None:\n            counted |= self._limits_of(lease).keys()\n",
    "",
)
_bug(
    "planner/quotas.py",
    QUOTAS,
    "a lock above those that are held is taken, though a lower one is free",
    "next(n for n in range(len(locked) + 1) if n not in locked)",
    "max(locked, default=-1) + 1",
)
_bug(
    "planner/placement.py",
    QUOTAS,
    "what gets nothing uses up its quota",
    "        if action is not None or reason is not None:\n            quotas",
    "        if True:\n            quotas",
)
_bug(
    "planner/placement.py",
    QUOTAS,
    "resources are launched for what a quota keeps waiting",
    "            self._waiting.append((lease, candidates, reached))\n            return\n",
    "            self._waiting.append((lease, candidates, reached))\n"
    "            if (made := self._build(lease, candidates)) is not None:\n"
    "                yield made[0]\n"
    "            return\n",
)
_bug(
    "planner/placement.py",
    QUOTAS,
    "the locks of quotas are not claimed",
    "replace(action, quotas=quotas) if isinstance(action, AcquireLease) else action",
    "action",
)

# --- the transaction -----------------------------------------------------------------------------

_bug(
    "executor.py",
    STORMS,
    "the locks of quotas are not passed on",
    "                quotas=action.quotas,\n",
    "",
)
_bug(
    "store/changes.py",
    MEMORY,
    "a lock of a quota that is held is given again",
    "and not any(key in held or key in taken for key in keys)",
    "and keys[0] not in held and keys[0] not in taken",
)
_bug(
    "store/changes.py",
    MEMORY,
    "two claims of one call get one lock",
    "            taken.update(keys)\n",
    "            taken.add(keys[0])\n",
)
_bug(
    "store/acquisition.py",
    SQL,
    "only the lock of the slot is written",
    "        for key in locks_of(claim)\n    ]\n    connection",
    "        for key in locks_of(claim)[:1]\n    ]\n    connection",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a fake takes only the lock of the slot",
    "self._lock(locks_of(claim), ",
    "self._lock(locks_of(claim)[:1], ",
)

# --- offers --------------------------------------------------------------------------------------

_bug(
    "offers.py",
    OFFERS,
    "more is offered than a quota leaves",
    "return int(min(max(left, backlog - forecast.waiting), self.quotas.left(subjects)))",
    "return max(left, backlog - forecast.waiting)",
)
_bug(
    "offers.py",
    OFFERS,
    "what a quota keeps waiting takes the capacity of others",
    " and lease.id not in self.quotas.kept_waiting",
    "",
)
_bug(
    "quota_room.py",
    OFFERS,
    "no lease waits for a quota, so nobody sees why",
    "max(limit - self._counted[name], 1 - self._waiting[name], 0)",
    "max(limit - self._counted[name], 0)",
)
_bug(
    "crew.py",
    OFFERS,
    "a build runs on a lease that does not count for it",
    "        if counts and resource.blueprint",
    "        if resource.blueprint",
)
_bug(
    "crew.py",
    OFFERS,
    "no worker makes way for what it does not count for",
    "            self._refused.add(worker.name)\n            worker.make_way()\n",
    "            self._refused.add(worker.name)\n",
)
_bug(
    "crew.py",
    OFFERS,
    "nobody is woken when a quota has room again",
    "if not may and (hindrances := self._hindrances(subjects)):",
    "if not may and (hindrances := refused):",
)

# --- the order of service ------------------------------------------------------------------------

_bug(
    "planner/order.py",
    ORDER,
    "the lowest priority goes first",
    "sorted(by_urgency.items(), reverse=True)",
    "sorted(by_urgency.items())",
)
_bug(
    "controller.py",
    CONTROLLER,
    "what was spent in a day is not read",
    "if each.max_daily_cost is not None",
    "if False",
)
_bug(
    "planner/order.py",
    ORDER,
    "who waits becomes no more urgent",
    "lease.priority + floor((now - lease.requested_at) / sharing.ageing_seconds)",
    "lease.priority",
)
_bug(
    "planner/order.py",
    ORDER,
    "a fair share goes before urgency",
    "    for _, leases in sorted(by_urgency.items(), reverse=True):\n",
    "    for leases in [sum(by_urgency.values(), [])]:\n",
)
_bug(
    "planner/order.py",
    ORDER,
    "what is held counts in nobody's share",
    "        shares.update(sharer(lease, sharing) for lease in held)\n",
    "        pass\n",
)
_bug(
    "planner/order.py",
    ORDER,
    "a turn is not counted",
    "        shares[name] += 1\n",
    "",
)
_bug(
    "planner/order.py",
    ORDER,
    "the youngest goes first",
    "key=lambda lease: (lease.requested_at, lease.id)",
    "key=lambda lease: (-lease.requested_at, lease.id)",
)

# --- the costs of a day --------------------------------------------------------------------------

_bug(
    "daily_costs.py",
    BUDGET,
    "what was just launched looks free",
    "seconds += max(0.0, resource.started_at + HOUR_SECONDS - now) if runs else 0.0",
    "seconds += 0.0",
)
_bug(
    "daily_costs.py",
    BUDGET,
    "a whole life is counted as of one day",
    "seconds = max(0.0, min(lived, DAY_SECONDS))\n",
    "seconds = max(0.0, lived)\n",
)
_bug(
    "daily_costs.py",
    BUDGET,
    "what is destroyed has cost nothing",
    "return of_ended + sum(",
    "return sum(",
)
_bug(
    "daily_costs.py",
    MEMORY,
    "what ended a while ago counts in full",
    "min(lived, DAY_SECONDS - ended_ago)",
    "lived",
)
_bug(
    "store/daily.py",
    SQL,
    "what was parked is counted in databases",
    "lived = c.since - c.created_at - parked",
    "lived = c.since - c.created_at",
)
_bug(
    "planner/budget.py",
    BUDGET,
    "resources are reclaimed for money that is gone",
    "        if self._lacks_money_of_the_day:\n            return False\n",
    "",
)
_bug(
    "planner/budget.py",
    BUDGET,
    "one plan launches without end",
    "        self._spent_in_a_day += self._blueprint.expected_price or 0.0\n",
    "",
)
_bug(
    "costs.py",
    EXECUTOR,
    "masters spend the money of a day side by side",
    "blueprint.max_hourly_cost is not None or blueprint.max_daily_cost is not None",
    "blueprint.max_hourly_cost is not None",
)
