"""Bugs in what builds are charged, in edits of blueprints and in the ledger; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import SQL, Bug, planter

CHARGES = ("tests/unit/test_charges.py",)
CHARGED_BUILDS = ("tests/integration/test_costs.py",)
METRICS = ("tests/unit/test_metrics.py",)
OVERRIDES = ("tests/unit/test_overrides.py",)
EDITS = ("tests/integration/test_web_edit.py",)
CATALOGUE = ("tests/unit/test_catalogue.py",)
LEDGER = ("tests/unit/test_ledger.py",)
LEDGER_SHOWN = ("tests/integration/test_web_ledger.py",)

BUGS: list[Bug] = []
_bug = planter(BUGS)


# --- who is charged ------------------------------------------------------------------------------

_bug(
    "closing.py",
    CHARGES,
    "what a lease is charged is told and not written down",
    "LeaseEvent.VACATE, record, charges=charges)",
    "LeaseEvent.VACATE, record)",
)
_bug(
    "closing.py",
    CHARGES,
    "the builds are charged and not told",
    "builds=builds or None",
    "builds=None",
)
_bug(
    "closing.py",
    CHARGES,
    "the builds that ran are not asked for",
    "[] if lease.held_since is None else await store.uses(lease.id)",
    "[]",
)
_bug(
    "closing.py",
    CHARGES,
    "what no lease had is told and not written down",
    "reason=reason, charges=[rest]",
    "reason=reason",
)
_bug(
    "closing.py",
    CHARGES,
    "what leases were charged with counts as had by nobody as well",
    "await store.charged(resource.id)",
    "0.0",
)
_bug(
    "costs.py",
    CHARGES,
    "a price that fell makes more charges than cost",
    "cost=None if cost is None else cost - charged)",
    "cost=None if cost is None else max(0.0, cost - charged))",
)
_bug(
    "costs.py",
    CHARGES,
    "builds that took no time can't be charged",
    "weights = seconds if sum(seconds) > 0 else [1.0] * len(seconds)",
    "weights = seconds",
)
_bug(
    "costs.py",
    CHARGES,
    "all builds of a lease pay the same",
    "[cost * weight / sum(weights) for weight in weights[:-1]]",
    "[cost / len(weights) for weight in weights[:-1]]",
)
_bug(
    "costs.py",
    CHARGES,
    "each build is charged with its whole lease",
    "    return [*parts, cost - sum(parts)]",
    "    return [cost for _ in seconds]",
)
_bug(
    "costs.py",
    CHARGES,
    "what a person says about a lease charges a build",
    "if not lease.owner.startswith((WORKER, BUILD)) or not builder",
    "if not builder",
)
_bug(
    "costs.py",
    CHARGES,
    "a build runs on after its lease has ended",
    "min(use.ended_at, end)",
    "use.ended_at",
)
_bug(
    "costs.py",
    CHARGES,
    "who asked is charged although another build ran",
    "uses = uses or _asked_for(lease)",
    "uses = _asked_for(lease) or uses",
)
_bug(
    "metrics/registry.py",
    METRICS,
    "a price that fell stops the count of costs",
    "            if amount > 0:\n",
    "            if amount:\n",
)

# --- uses and charges in SQL ---------------------------------------------------------------------

_bug(
    "store/charging.py",
    SQL,
    "a build that has ended ends again",
    "uses.update().where(which, uses.c.ended_at.is_(None))",
    "uses.update().where(which)",
)
_bug(
    "store/charging.py",
    SQL,
    "the end of one build ends all of its lease",
    "sa.and_(uses.c.lease == lease, uses.c.build == build)",
    "uses.c.lease == lease",
)
_bug(
    "store/charging.py",
    SQL,
    "a build begins on a lease that has ended",
    ".where(leases.c.id == lease, leases.c.status.in_(LIVING))",
    ".where(leases.c.id == lease)",
)
_bug(
    "store/charging.py",
    SQL,
    "a resource pays for the leases of all",
    "sa.select(sa.func.sum(costs.c.cost)).where(costs.c.resource == resource)",
    "sa.select(sa.func.sum(costs.c.cost))",
)
_bug(
    "store/charging.py",
    CHARGED_BUILDS,
    "a cost that nobody knows is written down as nothing",
    '"cost": each.cost,',
    '"cost": each.cost or 0.0,',
)

# --- edits ---------------------------------------------------------------------------------------

_bug(
    "latent/overrides.py",
    OVERRIDES,
    "what may not be edited is",
    'info.json_schema_extra.get("editable")',
    "True",
)
_bug(
    "latent/overrides.py",
    OVERRIDES,
    "edits that are right only together are tried one by one",
    "found, _ = _laid_over(definition, {**kept, name: values[name]})",
    "found, _ = _laid_over(definition, {name: values[name]})",
)
_bug(
    "latent/overrides.py",
    OVERRIDES,
    "masters that read edits in another order disagree",
    "sorted(values, key=lambda name: list(fields).index(name) if name in fields else -1)",
    "list(values)",
)
_bug(
    "latent/overrides.py",
    OVERRIDES,
    "an older edit that is ignored anyway forbids all further ones",
    "if name not in kept.ignored and name not in values",
    "if name not in values",
)
_bug(
    "latent/overrides.py",
    OVERRIDES,
    "the schedule prevails over an edit",
    '    update["schedule"] = tuple(_unscheduled(configured.schedule, update))\n',
)
_bug(
    "latent/overrides.py",
    OVERRIDES,
    "an edit may contradict what is configured",
    "    for conflict in fields.conflicts_of_edits():\n",
    "    for conflict in ():\n",
)
_bug(
    "catalogue.py",
    EDITS,
    "an edit is shown and not in force",
    "effective = self.edited(definition, state.overrides).definition",
    "effective = definition",
)
_bug(
    "catalogue.py",
    EDITS,
    "the first edit stays in force",
    "if known is not None and known[0] is definition and known[1] == overrides:",
    "if known is not None and known[0] is definition:",
)
_bug(
    "catalogue.py",
    CATALOGUE,
    "what has left is forgotten before it has let go",
    "        for name in self._retired.keys() - in_use:\n",
    "        for name in list(self._retired):\n",
)
_bug(
    "catalogue.py",
    CATALOGUE,
    "what has left and come back is there twice",
    "            self._retired.pop(name, None)\n",
)

_bug(
    "catalogue.py",
    CATALOGUE,
    "what has left keeps hosts ready",
    "retired=True, min_ready=0)",
    "retired=True)",
)

# --- the ledger ----------------------------------------------------------------------------------

_bug(
    "ledger.py",
    LEDGER,
    "what could not be destroyed seems to go",
    "destroyed.succeeded_at is not None and not destroyed.failures",
    "destroyed.succeeded_at is not None",
)
_bug(
    "ledger.py",
    LEDGER,
    "a twin seems to go with a host of the same token that has",
    "_is_told(_call_on_stray(survey, resource.blueprint, resource.token, host.identity))",
    "any(_is_told(each) for each in survey.world.calls.values())",
)

_bug(
    "ledger.py",
    LEDGER,
    "a host is nobody's that a row of another blueprint accounts for",
    "            if resource_of is None:\n",
    "            if resource_of is None or resource_of.blueprint != name:\n",
)
_bug(
    "ledger.py",
    LEDGER,
    "a twin is nobody's while its row may yet use it",
    "            and row.status is ResourceStatus.ACTIVE\n",
)
_bug(
    "ledger.py",
    LEDGER,
    "a twin is nobody's while its row remembers no host",
    "            and bool(row.identity)\n",
)
_bug(
    "ledger.py",
    LEDGER,
    "a twin costs what the resource costs",
    "return None if self.verdict is Verdict.TWIN else self.resource",
    "return self.resource",
)
_bug(
    "ledger.py",
    LEDGER,
    "a host that should have been listed by now is not late",
    'it is asked for again", True',
    'it is asked for again", False',
)
_bug(
    "ledger.py",
    LEDGER,
    "a listing of before a resource was active tells that its host has gone",
    "    if inventory.asked_at <= seen_from:\n",
    "    if inventory.asked_at < 0:\n",
)
_bug(
    "strays.py",
    LEDGER,
    "any host can be destroyed by hand",
    "        if not found.is_nobodys:\n            raise ValueError(_not_to_be_destroyed(found))\n",
)
_bug(
    "strays.py",
    LEDGER,
    "a host is nobody's that was asked for while the rows were read",
    "        inventories, calls = self._calls.inventories(), self._calls.snapshot()\n"
    "        rows = await self._store.rows()\n",
    "        rows = await self._store.rows()\n"
    "        inventories, calls = self._calls.inventories(), self._calls.snapshot()\n",
)
_bug(
    "strays.py",
    LEDGER,
    "the row of another blueprint does not protect its host from people",
    " or token == r.token)",
    ")",
)
_bug(
    "strays.py",
    LEDGER,
    "of an orphan with a twin, the twin is left",
    'which = "" if found.verdict is Verdict.ORPHAN else found.identity',
    "which = found.identity",
)
_bug(
    "strays.py",
    LEDGER_SHOWN,
    "nobody knows who destroyed a host",
    "which, why, actor=actor)",
    "which, why)",
)
