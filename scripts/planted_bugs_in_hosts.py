"""Bugs in how listed hosts are given, disabled and kept apart; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import (
    EXECUTOR,
    MEMORY,
    POLICY,
    PROPERTIES,
    PROVIDER_CALLS,
    SQL,
    STORMS,
    Bug,
    planter,
)

LISTED = ("tests/unit/test_planner_listed_hosts.py",)
MAINTENANCE = ("tests/unit/test_maintenance.py",)

BUGS: list[Bug] = []
_bug = planter(BUGS)


# --- which host is in service --------------------------------------------------------------------

_bug(
    "model.py",
    MAINTENANCE,
    "a host is disabled for longer than was said",
    "self.mode_until <= now\n        return self.mode is",
    "self.mode_until < now - 5.0\n        return self.mode is",
)
_bug(
    "policy.py",
    LISTED,
    "a host that an operator disabled is offered",
    "if state is not None and state.disabled_at(now):",
    "if state is None and now < 0:",
)
_bug(
    "policy.py",
    LISTED,
    "a host that is disabled in its list is offered",
    "    if host.disabled:\n",
    "    if host.disabled and now < 0:\n",
)
_bug(
    "policy.py",
    LISTED,
    "a host that does not answer is offered",
    "if disabled is None and host.unavailable:",
    "if disabled is None and host.unavailable == now:",
)
_bug(
    "policy.py",
    LISTED,
    "two hosts together meet what neither does",
    "        hosts = fitting\n",
)
_bug(
    "planner/survey.py",
    LISTED,
    "a host that is off the list is kept for ever",
    'if host is None:\n            return f"its host',
    'if host is None and self.now < 0:\n            return f"its host',
)
_bug(
    "planner/survey.py",
    LISTED,
    "the end of a host's absence brings no turn",
    "            self.wake(state.mode_until)\n",
    "            pass\n",
)
_bug(
    "planner/survey.py",
    MAINTENANCE,
    "leases on a disabled host end although nobody asked",
    "state is not None and state.at_once and",
    "state is not None and",
)

# --- giving them ---------------------------------------------------------------------------------

_bug(
    "planner/hostlist.py",
    PROPERTIES,
    "a host that is a resource already is taken into use again",
    "and host.name not in self._survey.host_users\n            )",
    "\n            )",
)
_bug(
    "planner/hostlist.py",
    LISTED,
    "one plan takes a host into use twice",
    "self._survey.taken_hosts.add(name)",
    "pass",
)
_bug(
    "planner/stock.py",
    LISTED,
    "a host that does not answer keeps its free slots on offer",
    "        if not self.survey.takes_leases(resource):\n            self._note_held_back(resource)\n            return\n",
)
_bug(
    "planner/stock.py",
    LISTED,
    "a host that is coming is promised although it is disabled",
    "self.survey.leaving and self.survey.takes_leases(resource):",
    "self.survey.leaving:",
)
_bug(
    "planner/stock.py",
    LISTED,
    "every host has the slots of its blueprint",
    "return slots_of(self.blueprint, self.survey.listed_host(resource))",
    "return self.blueprint.leases_per_resource",
)
_bug(
    "planner/placement.py",
    LISTED,
    "a host that another blueprint does not need is not reclaimed",
    "return self._idle_of(idle[0]).pop(idle[0].id) if idle else None",
    "return None",
)
_bug(
    "planner/placement.py",
    LISTED,
    "a host is reclaimed while another one is coming free",
    "        for resource in self._users(stock, lease):\n            owner =",
    "        for resource in ():\n            owner =",
)
_bug(
    "planner/placement.py",
    LISTED,
    "the row of a host does not say which it is",
    ", built_for, host=site.host",
    ", built_for",
)
_bug(
    "executor.py",
    STORMS,
    "a listed host is not locked",
    "            locks.append(slotlocks.host(action.host))\n",
)
_bug(
    "executor.py",
    EXECUTOR,
    "a token does not say which host it is on",
    'token = f"{token}@{action.host}"',
    "token = token",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a provider is not told which host to take into use",
    ", host=resource.host)",
    ")",
)
_bug(
    "offers.py",
    LISTED,
    "hosts out of service count as capacity",
    "if unusable_host(host, states.get(host.name), now) is None",
    "if now > 0",
)
_bug(
    "offers.py",
    LISTED,
    "hosts that do not fit count as capacity",
    "\n            and all(meets(host.labels, each) for each in required)",
    "",
)
_bug(
    "offers.py",
    LISTED,
    "who waits for another host counts as well",
    "return any(all(meets(host.labels, each) for each in both) for host in blueprint.hosts)",
    "return True",
)

_bug(
    "planner/placement.py",
    LISTED,
    "a younger lease takes what an older one already has of what it needs",
    "            if resource is not None:\n                stock.reserve(lease.requires)\n",
    "            if resource is not None:\n",
)
_bug(
    "planner/stock.py",
    LISTED,
    "room is given to a younger lease while an older one waits for its host",
    "        elif not self.at_its_limit:\n            self._living += 1\n",
)

_bug(
    "planner/placement.py",
    LISTED,
    "another's host is freed in vain, again and again",
    "                return stock.reclaim() if idle else None\n",
    "                own = idle\n",
)

# --- letting go of them --------------------------------------------------------------------------

_bug(
    "planner/keeping.py",
    MAINTENANCE,
    "an idle host that was disabled is kept",
    "        return disabled\n",
    "        pass\n",
)
_bug(
    "planner/upkeep.py",
    LISTED,
    "a host that is coming is waited for although it is disabled",
    "if (disabled := survey.disabled(resource)) is not None:",
    "if (disabled := survey.disabled(resource)) is not None and survey.now < 0:",
)
_bug(
    "planner/upkeep.py",
    LISTED,
    "an operator cannot end the leases on a host",
    "if survey.evicts(resource):",
    "if survey.evicts(resource) and survey.now < 0:",
)
_bug(
    "planner/upkeep.py",
    LISTED,
    "one host that fails stops all the others of its list",
    "if blueprint.hosts is not None:  # its",
    "if blueprint.hosts == ():  # its",
)
_bug(
    "planner/upkeep.py",
    LISTED,
    "an active host that a restarted master does not know yet is given up",
    "if host is None and survey.listed_host(resource) is not None:",
    "if host is None and survey.now < 0:",
)

# --- the row of a host ---------------------------------------------------------------------------

_bug(
    "store/memory.py",
    MEMORY,
    "a claim made before a host was disabled succeeds",
    "            if resource.host == row.name:\n",
    "            if resource.host is None:\n",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a stale change of a host is made",
    "self._hosts.get(seen.name)\n        if seen.version != (0 if",
    "self._hosts.get(seen.name)\n        if seen.version > (0 if",
)
_bug(
    "store/sql.py",
    SQL,
    "a claim made before a host was disabled succeeds",
    "            outdate(connection, row.name)\n",
)
_bug(
    "store/statements.py",
    SQL,
    "a stale change of a host is made",
    "(hosts.c.name == row.name) & (hosts.c.version == seen.version)",
    "(hosts.c.name == row.name)",
)
_bug(
    "store/changes.py",
    SQL,
    "which host a resource is, is forgotten",
    "        host=request.host,\n",
)
_bug(
    "maintenance.py",
    MAINTENANCE,
    "the second of two operators changes nothing",
    "seen = rows.hosts.get(wanted.name, HostState(name=wanted.name))\n            changed",
    "seen = HostState(name=wanted.name)\n            if rows.hosts:\n                return wanted\n            changed",
)
_bug(
    "maintenance.py",
    MAINTENANCE,
    "nobody hears that a host was disabled",
    "replace(wanted, version=seen.version), record\n            )\n        self._wake()\n",
    "replace(wanted, version=seen.version), record\n            )\n",
)
_bug(
    "maintenance.py",
    MAINTENANCE,
    "nobody hears that a blueprint was paused",
    "change_blueprint(seen, wanted, record)\n        self._wake()\n",
    "change_blueprint(seen, wanted, record)\n",
)
_bug(
    "maintenance.py",
    MAINTENANCE,
    "nobody hears that a resource was reclaimed",
    "break_leases):\n                self._wake()\n",
    "break_leases):\n",
)
_bug(
    "maintenance.py",
    MAINTENANCE,
    "a host is disabled until a time that has passed",
    "if until is not None and until <= self._clock.seconds():",
    "if until is not None and until < 0:",
)
_bug(
    "policy.py",
    POLICY + LISTED,
    "what hosts offer is told of the first one alone",
    "for host in hosts if label in host.labels))",
    "for host in hosts[:1] if label in host.labels))",
)
