"""Bugs in how idle resources are parked and woken; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import MEMORY, SQL, Bug, planter

PLAN = ("tests/unit/test_planner_parking.py",)
CALLS = ("tests/unit/test_power_calls.py",)
EC2 = ("tests/integration/test_ec2_parking.py",)
CONTRACT = ("tests/contract/test_ec2.py::TestByRunInstances",)
KEEPER = ("tests/unit/test_keeper.py",)
FIELDS = ("tests/unit/test_ec2_fields.py",)
SYNTHETIC = ("tests/contract/test_synthetic.py",)

BUGS: list[Bug] = []
_bug = planter(BUGS, "parking")


# --- rows ----------------------------------------------------------------------------------------

_bug(
    "store/memory.py",
    MEMORY,
    "what a lease holds a slot of is parked",
    "        if self._occupants.get(seen.id):\n            return None\n        if not self._spend",
    "        if not self._spend",
)
_bug(
    "store/parking.py",
    SQL,
    "what a lease holds a slot of is parked in SQL",
    "return swap(connection, resources, seen.id, seen.version, changes) and not is_leased(\n"
    "        connection, seen.id\n    )",
    "return swap(connection, resources, seen.id, seen.version, changes)",
)
_bug(
    "store/parking.py",
    SQL,
    "of two masters both wake one",
    "swap(connection, resources, seen.id, seen.version, changes)",
    "swap(connection, resources, seen.id, row.version - 1, changes) is not None",
)
_bug(
    "store/parking.py",
    SQL,
    "a wake spends money that another has spent",
    "if within is not None and not put_blueprint(connection, within, raised(within)):",
    "if within is not None and not put_blueprint(connection, within, raised(within)) and not seen:",
)
_bug(
    "store/parking.py",
    SQL,
    "what has ended is parked",
    "    if seen.status is not ResourceStatus.ACTIVE:\n        return False\n",
)
_bug(
    "store/acquisition.py",
    SQL,
    "a slot of a parked resource is claimed",
    "        .where(resources.c.power == Power.RUNNING.value)\n",
)
_bug(
    "store/changes.py",
    MEMORY,
    "a slot of a parked resource is claimed in memory",
    "resource.status is ResourceStatus.ACTIVE and resource.power is Power.RUNNING",
    "resource.status is ResourceStatus.ACTIVE",
)
_bug(
    "store/changes.py",
    MEMORY,
    "the time that it was parked is forgotten",
    "        parked_seconds=seen.parked_until(now),\n",
)
_bug(
    "store/changes.py",
    MEMORY,
    "where a woken host is now is not written down",
    "    return row if observed is None else _as_observed(row, observed)\n",
    "    return row\n",
)

# --- the plan ------------------------------------------------------------------------------------

_bug(
    "planner/upkeep.py",
    PLAN,
    "one that was woken breaks by a listing of before",
    "    if not parking.is_current(survey, resource):\n        return None  # it tells",
    "    if False:\n        return None  # it tells",
)
_bug(
    "planner/upkeep.py",
    PLAN,
    "one that was stopped from outside is leased on",
    "    if host.health is Health.FAILING or host.health in parking.STOPPED:\n        return",
    "    if host.health is Health.FAILING:\n        return",
)
_bug(
    "planner/parking.py",
    PLAN,
    "a listing of before its power changed counts",
    "    if not is_current(survey, resource):\n        return None\n    if host.health",
    "    if host.health",
)
_bug(
    "planner/parking.py",
    PLAN,
    "clocks are taken to agree",
    "resource.power_since + CLOCK_TOLERANCE_SECONDS",
    "resource.power_since",
)
_bug(
    "planner/parking.py",
    PLAN,
    "a host that runs although it is parked goes on and on",
    '    return SetPower(resource, Power.PARKING, "its host was started, and nothing here wants that")',
    "    return None",
)
_bug(
    "planner/parking.py",
    PLAN,
    "what can not be stopped is told so for ever",
    "    if asked.failures >= MOST_CALL_FAILURES:",
    "    if asked.failures >= MOST_CALL_FAILURES and survey.now < 0:",
)
_bug(
    "planner/parking.py",
    PLAN,
    "what takes too long to stop is waited for for ever",
    "    deadline = since + LONGEST_PARKING_SECONDS\n    if deadline <= survey.now:",
    "    deadline = since + LONGEST_PARKING_SECONDS\n    if deadline < 0:",
)
_bug(
    "planner/parking.py",
    PLAN,
    "what does not wake is waited for for ever",
    "    deadline = since + blueprint.boot_timeout\n    if deadline <= survey.now:",
    "    deadline = since + blueprint.boot_timeout\n    if deadline < 0:",
)
_bug(
    "planner/parking.py",
    PLAN,
    "what is still stopping is told to start",
    "    if host.health is Health.PARKED and _may_ask_again",
    "    if host.health in STOPPED and _may_ask_again",
)
_bug(
    "planner/parking.py",
    PLAN,
    "what is stopping is told to stop in every turn",
    "    if host.health not in STOPPED and _may_ask_again",
    "    if _may_ask_again",
)
_bug(
    "planner/parking.py",
    PLAN,
    "a host is woken while this master may still stop it",
    '        and not survey.call("park", blueprint.name, resource.token).running\n',
)
_bug(
    "planner/parking.py",
    PLAN,
    "what could not be woken is tried at once again",
    '        and survey.may_call("wake", blueprint.name, resource.token)\n',
)
_bug(
    "planner/parking.py",
    PLAN,
    "what is worn out is woken",
    "        and worn_out(blueprint, resource, survey.now) is None\n",
)
_bug(
    "planner/parking.py",
    PLAN,
    "what somebody has started is woken",
    "host.health is Health.PARKED and host.notice is None",
    "host.notice is None",
)
_bug(
    "planner/parking.py",
    PLAN,
    "a faulty resource is parked",
    "    if not blueprint.parks or resource.faults:",
    "    if not blueprint.parks:",
)
_bug(
    "planner/parking.py",
    PLAN,
    "what can not be parked is",
    "host is not None and host.parkable and host.health is Health.READY",
    "host is not None and host.health is Health.READY",
)
_bug(
    "planner/parking.py",
    PLAN,
    "a woken one is released as nobody has listed it yet",
    "        return Parkable.NOT_KNOWN\n",
    "        return Parkable.NO\n",
)
_bug(
    "planner/keeping.py",
    PLAN,
    "more are parked than may be",
    "            places -= isinstance(action, SetPower)\n",
)
_bug(
    "planner/keeping.py",
    PLAN,
    "what is parked stays for ever",
    '    return f"it was parked for {blueprint.park_for:.0f} s" if ends <= survey.now else None',
    "    return None",
)
_bug(
    "planner/keeping.py",
    PLAN,
    "parked ones count as kept warm",
    "    spare = len(running) - blueprint.min_ready",
    "    spare = len(idle) - blueprint.min_ready",
)
_bug(
    "planner/keeping.py",
    PLAN,
    "what was woken is let go of before its minimum is over",
    "paid_until = resource.started_at + blueprint.minimum_billing",
    "paid_until = resource.created_at + blueprint.minimum_billing",
)
_bug(
    "planner/stock.py",
    PLAN,
    "a slot of what is parked is given",
    "        elif resource.power is not Power.RUNNING:\n            self._count_parked(resource)\n",
    "",
)
_bug(
    "planner/stock.py",
    PLAN,
    "money is not asked for when one is woken",
    "        if not self.parked or not self._may_build or self._budget.is_spent:",
    "        if not self.parked or not self._may_build:",
)
_bug(
    "planner/stock.py",
    PLAN,
    "two are woken for the money of one",
    "                self._booting += 1\n                self._budget.take()\n",
    "                self._booting += 1\n",
)
_bug(
    "planner/stock.py",
    PLAN,
    "one that does not fit is woken",
    "if resource.id in self.parked and meets(resource.labels, requires):",
    "if resource.id in self.parked:",
)
_bug(
    "planner/stock.py",
    PLAN,
    "a parked one is reclaimed for money, which brings none",
    "        if self.parked and not self._budget.is_spent:",
    "        if self.parked:",
)
_bug(
    "planner/stock.py",
    PLAN,
    "a running one is reclaimed although one is parked",
    "        if self.parked and not self._budget.is_spent:",
    "        if self.parked and not self.idle:",
)
_bug(
    "planner/stock.py",
    PLAN,
    "what is stopping is waited for although it does not fit",
    "if woken.retry_at <= self.survey.now and meets(resource.labels, requires):",
    "if woken.retry_at <= self.survey.now:",
)
_bug(
    "planner/placement.py",
    PLAN,
    "another is built although one is parked",
    "            or self._wake(lease, candidates)\n",
)
_bug(
    "planner/placement.py",
    PLAN,
    "what is stopping is ended to make room",
    "            or self._stopping(lease, candidates)\n",
)
_bug(
    "planner/listing.py",
    PLAN,
    "nobody looks whether it has stopped",
    "_CHANGING = (Power.PARKING, Power.WAKING)",
    "_CHANGING = (Power.WAKING,)",
)
_bug(
    "costs.py",
    PLAN,
    "what is parked costs as much as what runs",
    "        if each.power is not Power.PARKED\n",
)
_bug(
    "model.py",
    PLAN,
    "the time since it was parked costs",
    "        return self.parked_seconds + max(0.0, now - self.power_since)",
    "        return self.parked_seconds",
)
_bug(
    "model.py",
    PLAN,
    "what was woken counts as idle since before",
    "max(self.since, self.last_used_at or 0.0, self.power_since or 0.0)",
    "max(self.since, self.last_used_at or 0.0)",
)
_bug(
    "offers.py",
    PLAN,
    "builds are offered on what may not be woken",
    "            return 0  # it counts as room, as long as it may be woken\n",
    "            pass\n",
)
_bug(
    "offers.py",
    PLAN,
    "no build is offered on what is parked",
    "len(living) + parked)",
    "len(living))",
)
_bug(
    "planner/stock.py",
    PLAN,
    "one is woken twice in a turn",
    "                del self.parked[resource.id]\n",
)

# --- calls ---------------------------------------------------------------------------------------

_bug(
    "provider_calls.py",
    CALLS,
    "a call that is late stops what was woken since",
    "        if row is not None and (row.status, row.power, row.power_since) == wish:",
    "        if row is not None:",
)
_bug(
    "provider_calls.py",
    CALLS,
    "a call of an earlier time stops it this time",
    "        wish = (resource.status, resource.power, resource.power_since)\n"
    "        if row is not None and (row.status, row.power, row.power_since) == wish:",
    "        wish = (resource.status, resource.power)\n"
    "        if row is not None and (row.status, row.power) == wish:",
)
_bug(
    "provider_calls.py",
    CALLS,
    "what could not be woken waits for ever",
    "            case Disposition.ELSEWHERE:\n                await self._park_again(resource, text)",
    "            case Disposition.ELSEWHERE:\n                return",
)
_bug(
    "provider_calls.py",
    CALLS,
    "what can never be parked is told so again",
    "if error is not None and error.disposition is Disposition.REJECT:",
    "if error is not None and error.disposition is Disposition.CRASH:",
)
_bug(
    "provider_calls.py",
    CALLS,
    "that it could not be woken is forgotten at once",
    "row.status is ResourceStatus.ACTIVE\n                and row.power is Power.RUNNING",
    "row.status is ResourceStatus.ACTIVE",
)
_bug(
    "executor.py",
    CALLS,
    "the money of a wake is not compared",
    "within = self._budgets.get(seen.blueprint) if power is Power.WAKING else None",
    "within = None",
)
_bug(
    "executor.py",
    CALLS,
    "the provider is not told to stop",
    "        if power is Power.PARKING:\n            self._calls.park_host(resource)\n        elif",
    "        if",
)

# --- EC2 -----------------------------------------------------------------------------------------

_bug(
    "latent/ec2/provider.py",
    EC2,
    "what hibernates counts as ended",
    " or (each.hibernates and each.state in STOPPED)",
)
_bug(
    "latent/ec2/provider.py",
    EC2,
    "what is stopped is tried to be reached",
    "reachable = {number for number, each in living.items() if each.state not in STOPPED}",
    "reachable = set(living)",
)
_bug(
    "latent/ec2/keeping.py",
    EC2,
    "another master takes what has been started again for failed",
    "return self.address == address and launched_at in (None, self.launched_at)",
    "return self.address == address",
)
_bug(
    "latent/ec2/keeping.py",
    EC2,
    "an instance that is stopping has failed",
    "        health = STOPPED.get(instance.state, Health.FAILING)\n",
    "        health = Health.FAILING\n",
)
_bug(
    "latent/ec2/parking.py",
    EC2,
    "capacity is asked for although there was none",
    "        if concerned and not any(self._shortages.available(concerned)):",
    "        if not concerned:",
)
_bug(
    "latent/ec2/parking.py",
    EC2,
    "nobody remembers that there was no capacity",
    "                    self._shortages.note(each, str(failed))",
    "                    pass",
)
_bug(
    "latent/ec2/parking.py",
    EC2,
    "one that was not launched for that is told to hibernate",
    "if self._hibernates and instance.hibernates:",
    "if self._hibernates:",
)
_bug(
    "latent/ec2/parking.py",
    EC2,
    "spot instances count as parkable",
    "return instance.market is Market.ON_DEMAND and instance",
    "return instance",
)
_bug(
    "latent/ec2/requests.py",
    EC2,
    "instances are launched so that they can't hibernate",
    "    if settings.hibernates and market is Market.ON_DEMAND:",
    "    if settings.hibernates and market is Market.SPOT:",
)
_bug(
    "latent/ec2/failures.py",
    EC2,
    "what can't be stopped yet counts as never",
    '    "IncorrectInstanceState",',
    "    ",
)
_bug(
    "latent/ec2/provider.py",
    CONTRACT,
    "a woken instance is taken for one that was restarted",
    'keeper.use(token, "" if launched_at is None else f"{launched_at:.0f}")',
    "keeper.use(token)",
)
_bug(
    "latent/claims.py",
    KEEPER,
    "any restart counts as one by its provider",
    "known = bool(self.start and marker.start)",
    "known = True",
)
_bug(
    "latent/ec2/parking_fields.py",
    FIELDS,
    "spot instances may be said to be parked",
    "    if spot is not None and not (spot.on_demand_base or spot.on_demand_fallback):",
    "    if spot is not None and spot.on_demand_base < 0:",
)
_bug(
    "latent/synthetic_cloud.py",
    SYNTHETIC,
    "a woken host still runs what ran before",
    "            machine.stopped_at = None\n            machine.ready_at = now + self.script.boot_seconds",
    "            machine.ready_at = now + self.script.boot_seconds",
)
