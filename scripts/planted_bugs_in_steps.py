"""Bugs in named locks, and in what builds lease by their steps; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import LEASES, MEMORY, PLACEMENT, SQL, Bug, planter

LOCK = ("tests/contract/test_named_lock.py",)
TAKING = ("tests/integration/test_lease_steps.py::TakingTests",)
ENDING = ("tests/integration/test_lease_steps.py::EndingTests",)
LOSS = ("tests/integration/test_lease_steps.py::LossTests",)

BUGS: list[Bug] = []
_bug = planter(BUGS, "steps")


# --- locks ---------------------------------------------------------------------------------------

_bug(
    "planner/stock.py",
    PLACEMENT,
    "a resource that has fewer slots than before is filled beyond them",
    "free = free[: max(0, per_resource - len(leases))]",
    "pass",
)
_bug(
    "latent/named_lock.py",
    LOCK,
    "a lock that has ended is listed for ever",
    "            if row.status in _EXISTS\n",
    "",
)
_bug(
    "latent/named_lock.py",
    LOCK,
    "a lock has a slot too many",
    "leases_per_resource=fields.slots,",
    "leases_per_resource=fields.slots + 1,",
)
_bug(
    "latent/named_lock.py",
    LOCK,
    "an idle lock is given up",
    "            idle_timeout=None,\n",
    "",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a blueprint is told of the resources of all",
    "[row for row in self._resources.values() if row.blueprint == blueprint]",
    "list(self._resources.values())",
)
_bug(
    "store/sql.py",
    SQL,
    "a blueprint is told of the resources of all",
    "_LIVING_RESOURCE_ROWS.where(resources.c.blueprint == blueprint)",
    "_LIVING_RESOURCE_ROWS",
)

# --- leases of builds ----------------------------------------------------------------------------

_bug(
    "build_leases.py",
    ENDING,
    "a build keeps its leases when it ends",
    "        for name in list(self._held):\n"
    "            self._go_on(self._release(self._held.pop(name).lease, reason))\n",
    "",
)
_bug(
    "build_leases.py",
    ENDING,
    "what is waited for is not given back",
    "        if number is not None:\n",
    "        if number is None:\n",
)
_bug(
    "build_leases.py",
    ENDING,
    "what arrives after its step was interrupted is kept",
    '            await self._release(lease, "it was asked for in vain")\n',
    "            pass\n",
)
_bug(
    "build_leases.py",
    ENDING,
    "the service closes while builds have leases",
    "        return len(self._builds)",
    "        return 0",
)
_bug(
    "build_leases.py",
    LOSS,
    "a build goes on without what it has lost",
    "if_lost is not IfLost.CONTINUE and",
    "if_lost is IfLost.CONTINUE and",
)
_bug(
    "buildbot_hooks.py",
    LOSS,
    "a build that was interrupted for a loss ends as its step does",
    "            results = build.results = verdict(results)\n",
    "            pass\n",
)
_bug(
    "build_leases.py",
    TAKING,
    "a build asks in nobody's name",
    "            subjects=hooks.subjects_of(self._build),\n",
    "",
)
_bug(
    "leases.py",
    LEASES,
    "the leases of builds that a killed master ran go on for a while",
    "            if is_gone(lease.owner):\n                await self.release",
    "            if False:\n                await self.release",
)
_bug(
    "leases.py",
    LEASES,
    "who waits is told the same reasons in each turn",
    "if reasons and reasons != self._told.get(number):",
    "if reasons:",
)
