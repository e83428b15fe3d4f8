"""Bugs in what is done about announced ends, and about money; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import EXECUTOR, LEASES, MEMORY, SQL, Bug, planter

NOTICE = ("tests/unit/test_planner_notice.py",)
BUDGET = ("tests/unit/test_planner_budget.py",)
COSTS = ("tests/unit/test_costs.py",)
WORKERS = ("tests/integration/test_notice.py",)
NEXT_START = (
    "tests/integration/test_worker.py::ConnectionTests"
    "::test_nor_does_it_stop_the_next_start_of_a_worker_without_idle_time",
)
EVENTS = ("tests/unit/test_events.py",)

BUGS: list[Bug] = []
_bug = planter(BUGS, "ending")


# --- hosts that are given notice -----------------------------------------------------------------

_bug(
    "planner/stock.py",
    NOTICE,
    "a lease begins on a host that is to end",
    "        if self.survey.has_notice(resource):\n"
    "            self._count_given_notice(resource, idle=not leases)\n"
    "            return\n",
    "        if self.survey.has_notice(resource):\n"
    "            self._count_given_notice(resource, idle=not leases)\n",
)
_bug(
    "planner/upkeep.py",
    NOTICE,
    "a lease waits for a host that is given notice in the same turn",
    "            survey.given_notice.add(resource.id)\n",
)
_bug(
    "planner/stock.py",
    NOTICE,
    "an innocent one is reclaimed although one that is to end makes room",
    "        if idle:\n            self.ending.append(resource)",
    "        if idle:\n            pass",
)
_bug(
    "planner/keeping.py",
    NOTICE,
    "an idle one that is to end is kept",
    "    if resource.end_reason:\n        return",
    "    if resource.end_reason and survey.now < 0:\n        return",
)
_bug(
    "planner/upkeep.py",
    NOTICE,
    "a launch that ends before it was used costs no patience",
    "        return _launch_failed(resource, reason)\n    if host is not None:",
    "        return told\n    if host is not None:",
)
_bug(
    "policy.py",
    NOTICE,
    "two masters contradict each other about an end for ever",
    "if resource.notice is None or _is_sooner(notice.ends_at, resource.ends_at):",
    "if resource.notice != notice:",
)
_bug(
    "policy.py",
    NOTICE,
    "that an end is sooner than was said is not heard",
    "new is not None and (known is None or new < known - NOTICE_TOLERANCE_SECONDS)",
    "new is not None and known is None",
)
_bug(
    "policy.py",
    NOTICE,
    "a listed host that is given notice is taken and released in turns",
    "if notice is None or blueprint.hosts is not None:",
    "if notice is None:",
)
_bug(
    "planner/listing.py",
    NOTICE,
    "a host that has ended is noticed late",
    "    return resource.ends_at <= survey.now\n",
    "    return resource.ends_at < survey.now - 60.0\n",
)
_bug(
    "offers.py",
    NOTICE,
    "builds are promised hosts that are to end",
    "if resource.end_reason or worn_out(",
    "if worn_out(",
)
_bug(
    "leases.py",
    LEASES,
    "a holder is told of one end again and again",
    "                hold.notice = notice\n",
)
_bug(
    "leases.py",
    LEASES,
    "a holder is not told of a sooner end",
    "or notice in (None, hold.notice):",
    "or notice is None or hold.notice:",
)
_bug(
    "store/changes.py",
    MEMORY + SQL,
    "a claim made before a notice succeeds",
    "version=seen.version + 1, ends_at=notice.ends_at",
    "ends_at=notice.ends_at",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a lease's events do not tell of a notice",
    "                self._remember(record, blueprint=row.blueprint, lease=number)\n",
    "                pass\n",
)
_bug(
    "store/sql.py",
    SQL,
    "a lease's events do not tell of a notice",
    "                write_event(connection, record, now, blueprint=seen.blueprint, lease=lease)\n",
    "                pass\n",
)
_bug(
    "store/statements.py",
    SQL,
    "an ended lease's events tell of a notice",
    "leases.c.resource == resource, leases.c.status.in_(LIVING)",
    "leases.c.resource == resource",
)
_bug(
    "latent/worker.py",
    WORKERS,
    "a worker takes another build on a host that is to end",
    "        if self._notice is not None:\n            return False\n",
)
_bug(
    "latent/worker.py",
    WORKERS,
    "a worker stays on a host that is to end after its build",
    "            return self._notice is not None\n",
    "            return False\n",
)
_bug(
    "latent/worker.py",
    WORKERS,
    "a worker never works again after a notice",
    "self._lease = self._tenancy = self._notice = None",
    "self._lease = self._tenancy = None",
)
_bug(
    "latent/worker.py",
    WORKERS,
    "a notice ends the build",
    "        if not (at_work or hooks",
    "        if not (hooks",
)

_bug(
    "latent/worker.py",
    NEXT_START,
    "a worker that is stopped twice stops its next start",
    "        if self._leaving:\n            return\n",
)

# --- money ---------------------------------------------------------------------------------------

_bug(
    "costs.py",
    COSTS,
    "a destroyed resource goes on costing",
    "resource.since if resource.status is ResourceStatus.DESTROYED else now",
    "now",
)
_bug(
    "costs.py",
    COSTS,
    "each lease pays for the whole host",
    "resource.hourly_price / slots",
    "resource.hourly_price",
)
_bug(
    "costs.py",
    COSTS,
    "an exact budget is refused for want of a rounding error",
    "(left + _EXACT) // price",
    "left // price",
)
_bug(
    "costs.py",
    COSTS,
    "a host on its way costs nothing",
    "expected if each.hourly_price is None else each.hourly_price",
    "each.hourly_price or 0.0",
)
_bug(
    "costs.py",
    COSTS,
    "two masters contradict each other about a price without a pause",
    "now < resource.priced_at + PRICE_AGAIN_SECONDS",
    "now < resource.priced_at",
)
_bug(
    "planner/stock.py",
    BUDGET,
    "a budget is no limit",
    "return not self.at_its_limit and not self._budget.is_spent",
    "return not self.at_its_limit",
)
_bug(
    "planner/stock.py",
    BUDGET,
    "one plan launches beyond the budget",
    "        self._booting += 1\n        self._budget.take()\n        if",
    "        self._booting += 1\n        if",
)
_bug(
    "planner/stock.py",
    BUDGET,
    "idle hosts are reclaimed although that frees too little money",
    "not self._has_room and self._budget.could_be_freed(self._could_go())",
    "not self._has_room",
)
_bug(
    "planner/stock.py",
    BUDGET,
    "what is being torn down frees no money",
    "        yield from self.ending\n",
)
_bug(
    "planner/stock.py",
    BUDGET,
    "two leases wait for the money of one",
    "            self._budget.reserve()\n",
)
_bug(
    "planner/stock.py",
    BUDGET,
    "a lease that waits for money is not told so",
    "        if self._budget.is_spent:\n            return self._budget.reason()\n",
)
_bug(
    "offers.py",
    BUDGET,
    "builds are promised hosts that there is no money for",
    "int(min(room, launches_left(blueprint, spent)))",
    "int(min(room, 1_000_000))",
)
_bug(
    "executor.py",
    EXECUTOR,
    "one plan launches one host within a budget",
    "        self._budgets[within.name] = raised\n",
    "",
)
_bug(
    "executor.py",
    EXECUTOR,
    "two masters spend the same money",
    "            within=within,\n",
)
_bug(
    "store/memory.py",
    MEMORY,
    "money that another master has spent is spent again",
    "            if within.version != self._version_of(within.name):\n                return False\n",
)
_bug(
    "store/sql.py",
    SQL,
    "money that another master has spent is spent again",
    "            if within is not None and not put_blueprint(connection, within, raised(within)):\n"
    "                return None\n",
)
_bug(
    "store/changes.py",
    MEMORY + SQL,
    "a price is forgotten when a host is seen without one",
    "    if observed.hourly_price is None:\n        return row\n",
)
_bug(
    "executor.py",
    EXECUTOR,
    "a lease that left nothing to end is not told what it cost",
    "await close_lease(self._store, lease, share, self._clock.seconds())",
    "await close_lease(self._store, lease, None, self._clock.seconds())",
)
_bug(
    "provider_calls.py",
    EXECUTOR,
    "a lease whose slot was vacated is not told what it cost",
    "await close_lease(self._store, lease, hourly_share, now)",
    "await close_lease(self._store, lease, None, now)",
)
_bug(
    "events.py",
    EVENTS,
    "what an earlier version recorded cannot be read",
    "if f.default is MISSING",
    'if f.name != "actor"',
)
