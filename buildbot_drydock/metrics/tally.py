"""What each recorded event adds to the counters: a pure mapping, kind by kind.

Every kind of event has its rule here, or stands in ``NOT_COUNTED`` with the reason why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from buildbot_drydock import events

LAUNCHES: Final = "drydock_launches"
BOOTS: Final = "drydock_boot_seconds"
WAITS: Final = "drydock_wait_seconds"
REQUESTS: Final = "drydock_lease_requests"
RELEASES: Final = "drydock_lease_releases"
FAILURES: Final = "drydock_failures"
INTERRUPTIONS: Final = "drydock_interruptions"
STRAYS: Final = "drydock_strays"
COSTS: Final = "drydock_cost"
CHARGES: Final = "drydock_builder_cost"

# The labels of each. Nobody knows of a request yet which blueprint will serve it.
BLUEPRINT, KIND, BUILDER = "blueprint", "kind", "builder"
LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    LAUNCHES: (BLUEPRINT,),
    BOOTS: (BLUEPRINT,),
    WAITS: (BLUEPRINT,),
    REQUESTS: (),
    RELEASES: (BLUEPRINT,),
    FAILURES: (BLUEPRINT, KIND),
    INTERRUPTIONS: (BLUEPRINT,),
    STRAYS: (BLUEPRINT,),
    COSTS: (BLUEPRINT,),
    CHARGES: (BLUEPRINT, BUILDER),
}
NOBODY: Final = ""  # the builder of what no build is charged with


@dataclass(frozen=True, slots=True)
class Sample:
    """What one event adds to one counter, or one observation of a histogram."""

    metric: str
    amount: float = 1.0


# An event as the journal reads it: kind, data, blueprint, leaseid.
Row: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Row], Sample | None]


def _one(metric: str) -> Rule:
    return lambda row: Sample(metric)


def _failure(row: Row) -> Sample:
    return Sample(FAILURES)


def _amount(metric: str, name: str) -> Rule:
    def rule(row: Row) -> Sample | None:
        value = row["data"].get(name)
        # Unknown prices are null; a negative duration is a clock that was set back.
        known = isinstance(value, int | float) and value >= 0
        return Sample(metric, float(value)) if known else None

    return rule


_waited: Final = _amount(WAITS, "waited")


def _acquired(row: Row) -> Sample | None:
    """Count only what needed no preparation; of the others, the activation says how long it took."""
    return _waited(row) if row["data"].get("active") else None


def _given_notice(row: Row) -> Sample | None:
    """Count the host, and not each lease on it, beside which the event is recorded as well."""
    return Sample(INTERRUPTIONS) if row["leaseid"] is None else None


COUNTED: Final[Mapping[str, Rule]] = {
    events.ResourceRequested.kind: _one(LAUNCHES),
    events.ResourceReady.kind: _amount(BOOTS, "seconds"),
    events.ResourceBroken.kind: _failure,
    events.ResourceFaulty.kind: _failure,
    events.ResourceGivenNotice.kind: _given_notice,
    events.ResourceDestroyed.kind: _amount(COSTS, "cost"),
    events.LeaseRequested.kind: _one(REQUESTS),
    events.LeaseAcquired.kind: _acquired,
    events.LeaseActivated.kind: _waited,
    events.LeaseReturned.kind: _failure,
    events.LeaseReleased.kind: _one(RELEASES),
    events.LeaseBroken.kind: _failure,
    events.LaunchFailed.kind: _failure,
    events.BlueprintMisconfigured.kind: _failure,
    events.CallFailed.kind: _failure,
    events.HostLost.kind: _failure,
    events.HostListBroken.kind: _failure,
    events.StrayDestroyed.kind: _one(STRAYS),
}

NOT_COUNTED: Final[Mapping[str, str]] = {
    events.ResourceReleased.kind: "the ordinary end of a resource that nobody needs",
    events.ResourceTrusted.kind: "the end of faults, each of which was counted",
    events.ResourcePriced.kind: "the hourly cost shows it",
    events.ResourcePowerChanged.kind: "the count of parked resources shows it",
    events.LeaseRenewed.kind: "a person's action, which changes nothing but a time",
    events.LeaseDestroyed.kind: "its end was counted; its cost is added to that of builders",
    events.AuthorizationRequested.kind: "the waiting leases show it",
    events.AuthorizationDecided.kind: "an administrator's action; what it changes is counted",
    events.LaunchesRecovered.kind: "the end of failures, each of which was counted",
    events.ModeChanged.kind: "a person's action",
    events.BlueprintEdited.kind: "a person's action",
    events.HostModeChanged.kind: "a person's action",
    events.HostReturned.kind: "the end of a loss, which was counted",
    events.HostWarned.kind: "the host is used all the same",
    events.HostListRead.kind: "an ordinary change of a list",
}


def charges_of(row: Row) -> dict[str, float]:
    """Return by builder what an event says is charged; for what no build is, by ``NOBODY``."""
    data = row["data"]
    if row["kind"] == events.ResourceDestroyed.kind:
        rest = data.get("unattributed")
        return {} if rest is None else {NOBODY: rest}
    if row["kind"] != events.LeaseDestroyed.kind or data.get("cost") is None:
        return {}
    builds = data.get("builds")
    if not builds:
        return {NOBODY: data["cost"]}
    found: dict[str, float] = {}
    for build in builds:
        found[build["builder"]] = found.get(build["builder"], 0.0) + (build["cost"] or 0.0)
    return found


FAILURE_KINDS: Final = tuple(kind for kind, rule in COUNTED.items() if rule is _failure)


def labels_of(metric: str, blueprint: str | None, kind: str) -> tuple[str, ...]:
    """Return the values of a metric's labels for an event of that blueprint and kind."""
    values = {BLUEPRINT: blueprint or "", KIND: kind, BUILDER: NOBODY}
    return tuple(values[name] for name in LABELS[metric])


def first_labels(metric: str, blueprint: str) -> list[tuple[str, ...]]:
    """Return all values of a metric's labels that a blueprint may come to have."""
    kinds = FAILURE_KINDS if KIND in LABELS[metric] else ("",)
    return [labels_of(metric, blueprint, kind) for kind in kinds]


def sample_of(row: Row) -> Sample | None:
    """Return what an event adds, if it adds anything. A later version's kind adds nothing."""
    rule = COUNTED.get(row["kind"])
    return None if rule is None else rule(row)
