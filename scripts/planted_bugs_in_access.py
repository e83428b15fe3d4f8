"""Bugs in who may use a blueprint; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import MEMORY, SQL, Bug, planter

RULE = ("tests/unit/test_authorization.py",)
PLANNER = ("tests/unit/test_planner_authorization.py",)
TURNS = ("tests/unit/test_authorized_turns.py",)
OFFERS = ("tests/unit/test_offers_authorized.py",)
APPROVALS = ("tests/unit/test_approvals.py",)

BUGS: list[Bug] = []
_bug = planter(BUGS)


# --- the rule ------------------------------------------------------------------------------------

_bug(
    "authorization.py",
    RULE,
    "a list of nobody is for everybody",
    "blueprint.needs_approval or blueprint.allow is not None",
    "blueprint.needs_approval or bool(blueprint.allow)",
)
_bug(
    "authorization.py",
    RULE,
    "names are compared whatever their case",
    "fnmatchcase(subject, pattern)",
    "fnmatchcase(subject.lower(), pattern.lower())",
)
_bug(
    "authorization.py",
    RULE,
    "decisions count where no approval is needed",
    "if blueprint.needs_approval else None\n",
    "if True else None\n",
)
_bug(
    "authorization.py",
    RULE,
    "the decision about the least specific subject counts",
    "    for subject in subjects:\n        found = known.get(",
    "    for subject in reversed(subjects):\n        found = known.get(",
)
_bug(
    "authorization.py",
    RULE,
    "a request counts as a decision",
    "if found is None or found.status is AuthorizationStatus.REQUESTED:",
    "if found is None:",
)
_bug(
    "authorization.py",
    RULE,
    "a lease that names somebody asks for its owner all the same",
    "return lease.subjects or (lease.owner,)",
    "return (lease.owner,)",
)

# --- planning ------------------------------------------------------------------------------------

_bug(
    "planner/permission.py",
    PLANNER,
    "approval is asked for in every turn",
    "or refusal.authorization is not None:",
    "or False:",
)
_bug(
    "planner/permission.py",
    PLANNER,
    "approval is asked for once for each lease",
    "                self._asked.add(key)\n",
    "",
)
_bug(
    "planner/placement.py",
    PLANNER,
    "approval is asked for while something else comes",
    "        elif reason is None:  # nothing",
    "        else:  # nothing",
)
_bug(
    "planner/placement.py",
    PLANNER,
    "a lease whose approval was declined waits for ever",
    "any(not isinstance(r, Declined) for r in self.refusals)",
    "bool(self.refusals)",
)
_bug(
    "planner/placement.py",
    PLANNER,
    "a lease that needs approval is broken",
    "bool(self.fitting) or any(not isinstance(r, Declined) for r in self.refusals)",
    "bool(self.fitting)",
)
_bug(
    "planner/placement.py",
    PLANNER,
    "who may not use a blueprint gets a slot of it",
    "            if isinstance(answer, Grant):\n",
    "            if isinstance(answer, Grant) or (answer := Grant('')):\n",
)
_bug(
    "planner/permission.py",
    PLANNER,
    "leases are alike whoever asks",
    "return subjects_of(lease) if self._matters else ()",
    'return ("builder/tests",)',
)

# --- what no race may break ----------------------------------------------------------------------

_bug(
    "store/changes.py",
    MEMORY,
    "a claim made before a decision succeeds after it",
    "states.get(within.name, 0) == within.version",
    "states.get(within.name, 0) >= within.version",
)
_bug(
    "store/acquisition.py",
    SQL,
    "the database does not look at decisions",
    "    names = {claim.within.name for claim in claims if claim.within is not None}\n",
    "    return {c.within.name: c.within.version for c in claims if c.within}\n",
)
_bug(
    "store/authorizations.py",
    SQL,
    "a decision goes unnoticed by claims",
    "            raise_blueprint(connection, row.blueprint)\n",
    "",
)
_bug(
    "store/authorizations.py",
    SQL,
    "a decision overwrites another one",
    "connection, authorizations, row.id, seen.version, authorization_values(row)",
    "connection, authorizations, row.id, 1, authorization_values(row)",
)
_bug(
    "store/memory.py",
    MEMORY,
    "what was asked for is asked for again",
    "        if (blueprint, subject) in self._authorizations:\n            return None\n",
    "",
)
_bug(
    "executor.py",
    TURNS,
    "leases are given whatever was decided since they were planned",
    "within=self._approved.get(action.resource.blueprint),",
    "within=None,",
)
_bug(
    "executor.py",
    TURNS,
    "a launch of one's own makes one's claims fail",
    "            self._approved[within.name] = raised\n",
    "            pass\n",
)
_bug(
    "controller.py",
    TURNS,
    "after a reconfig, decisions are not read before they count",
    "            if all(set(names) <= set(known.get(each, ())) for each, names in wanted.items()):\n",
    "            if True:\n",
)
_bug(
    "store/changes.py",
    MEMORY,
    "a lease that went back to the pool stays authorized",
    '            authorized_by="",\n        )\n    if event is LeaseEvent.VACATE',
    "        )\n    if event is LeaseEvent.VACATE",
)

# --- what is offered to whom -----------------------------------------------------------------------

_bug(
    "offers.py",
    OFFERS,
    "who may not use a blueprint is offered its capacity",
    "for each in self._fitting_blueprints(demand) if each.name not in refused]",
    "for each in self._fitting_blueprints(demand)]",
)
_bug(
    "offers.py",
    OFFERS,
    "any number of leases may wait for approval",
    "serving=frozenset(), capacity=1, waiting=waiting, rivals=((waiting, waiting),)",
    "serving=frozenset(), capacity=1, waiting=waiting",
)
_bug(
    "offers.py",
    OFFERS,
    "nobody's lease is there to have approval asked for",
    "if not any(isinstance(each, AwaitingApproval) for each in self._refusals(ask)):",
    "if True:",
)
_bug(
    "crew.py",
    OFFERS,
    "a build runs on what another builder was given",
    "if counts and resource.blueprint not in self._refused_by(subjects):",
    "if counts:",
)
_bug(
    "crew.py",
    OFFERS,
    "a warm worker keeps builds waiting that may not run on it",
    "if resource is None or resource.blueprint in refused:",
    "if resource is None:",
)
_bug(
    "crew.py",
    OFFERS,
    "builders are not woken when something was decided about them",
    "            if self._hindrances(subjects) != hindrances:\n",
    "            if not self._workers:\n",
)

# --- decisions -------------------------------------------------------------------------------------

_bug(
    "approvals.py",
    APPROVALS,
    "a decision is forgotten if another one comes first",
    "        while decided is None:\n",
    "        if decided is None:\n",
)
_bug(
    "approvals.py",
    APPROVALS,
    "a decision that nobody heeds is written down",
    "if blueprint not in self._needing():",
    "if False:",
)


# --- what is listed ------------------------------------------------------------------------------

_bug(
    "store/listings.py",
    ("tests/contract/test_listings.py",),
    "what a person wrote down about a lease can be asked for",
    'sa.literal("{}")',
    'columns["attributes"]',
)
