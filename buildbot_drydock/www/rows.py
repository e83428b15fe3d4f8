"""Rows as visitors see them: what is worked out beside the columns, and nothing secret in a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from buildbot_drydock import events
from buildbot_drydock.costs import resource_cost
from buildbot_drydock.latent.definition import Definition
from buildbot_drydock.latent.overrides import Edited, editable_values
from buildbot_drydock.model import (
    Blueprint,
    BlueprintState,
    HostState,
    ListedHost,
    Mode,
    Power,
    Resource,
    ResourceStatus,
)
from buildbot_drydock.people import person_of
from buildbot_drydock.policy import disabled_host, unusable_host
from buildbot_drydock.reasons import Declined, DoesNotFit, Reason
from buildbot_drydock.store.usage import BlueprintUsage, HostUsage, Usage
from buildbot_drydock.www.discretion import configuration, discreet

_NEVER: Final = (DoesNotFit, Declined)  # what nobody waits for
_WORKER: Final = "worker/"
_NOT_IN_A_KEY: Final = re.compile(r"[^A-Za-z0-9_-]")


def lease_row(
    row: Mapping[str, Any], reasons: Callable[[int], Sequence[Reason]], now: float
) -> dict[str, Any]:
    """Return a lease with whom it is for, and why it waits, if it does."""
    shown: dict[str, Any] = discreet(row)
    owner = row.get("owner")
    if owner is not None:
        shown["person"] = person_of(owner)
        shown["worker"] = owner.removeprefix(_WORKER) if owner.startswith(_WORKER) else None
    waits = row.get("status") == "pending"
    shown["reasons"] = [
        reason_row(reason, now) for reason in (reasons(row["leaseid"]) if waits else ())
    ]
    return shown


def reason_row(reason: Reason, now: float) -> dict[str, Any]:
    shown: dict[str, Any] = discreet({**reason.data(), "sentence": reason.sentence(now)})
    return shown


def resource_row(row: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return a resource with what it has cost so far, if that is known."""
    shown: dict[str, Any] = discreet(row)
    price = row.get("hourly_price")
    shown["cost"] = None if price is None else _cost(row, price, now)
    return shown


def _cost(row: Mapping[str, Any], price: float, now: float) -> float | None:
    if "created_at" not in row:
        return None  # nobody asked for it
    lived = Resource(
        id=0,
        blueprint="",
        token="",
        place=0,
        status=ResourceStatus(row["status"]),
        since=row["since"],
        created_at=row["created_at"],
        hourly_price=price,
        power=Power(row["power"]),
        power_since=row["power_since"],
        parked_seconds=row["parked_seconds"],
    )
    return resource_cost(lived, now)


def event_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with its sentence, which is empty if a later version wrote it."""
    shown: dict[str, Any] = discreet(row)
    if "kind" in row and "data" in row and "actor" in row:
        try:
            sentence = events.restore(row["kind"], row["actor"], dict(row["data"])).sentence()
        except (ValueError, TypeError, AttributeError):
            sentence = ""
        shown["sentence"] = discreet(sentence)
    return shown


# --- blueprints ------------------------------------------------------------------------------


def blueprint_rows(
    blueprints: Iterable[Blueprint],
    definitions: Mapping[str, tuple[Definition, Edited]],
    usage: Usage,
    reasons: Mapping[int, Sequence[Reason]],
    listing_errors: Mapping[str, str],
    now: float,
) -> list[dict[str, Any]]:
    """Return the blueprints that are configured, or still have resources, in that order."""
    waiting = _waiting(reasons)
    known = {each.name: each for each in blueprints}
    names = [*known, *sorted(usage.blueprints.keys() - known.keys())]
    return [
        _blueprint_row(
            name,
            known.get(name),
            definitions.get(name),
            usage.states.get(name, BlueprintState(name=name)),
            usage.blueprints.get(name, BlueprintUsage()),
            waiting[name],
            listing_errors.get(name, ""),
            now,
        )
        for name in names
    ]


def _waiting(reasons: Mapping[int, Sequence[Reason]]) -> Counter[str]:
    """Count the leases that wait for each blueprint."""
    return Counter(
        blueprint
        for some in reasons.values()
        for blueprint in {each.blueprint for each in some if not isinstance(each, _NEVER)}
    )


def _blueprint_row(
    name: str,
    blueprint: Blueprint | None,
    definition: tuple[Definition, Edited] | None,
    state: BlueprintState,
    usage: BlueprintUsage,
    waiting: int,
    listing_error: str,
    now: float,
) -> dict[str, Any]:
    mode = state.mode_at(now)
    row = {
        "name": name,
        "kind": None if blueprint is None else blueprint.kind,
        "provides": None if blueprint is None else blueprint.provides,
        "state": _state(blueprint, state, now),
        "configured": blueprint is not None and not blueprint.retired,
        "mode": mode.value,
        # Once a mode has ended, its reason says nothing about the present.
        "mode_reason": state.mode_reason if mode is state.mode else "",
        "mode_author": state.mode_author if mode is state.mode else "",
        "mode_until": state.mode_until if mode is state.mode else None,
        "failures": state.failures,
        "retry_at": state.retry_at,
        "misconfigured": state.misconfigured,
        "last_error": state.last_error,
        "listing_error": listing_error,
        "version": state.version,
        "limit": None if blueprint is None else blueprint.limit,
        "capacity": None if blueprint is None else _capacity(blueprint),
        "min_ready": None if blueprint is None else blueprint.min_ready,
        "leases_per_resource": None if blueprint is None else blueprint.leases_per_resource,
        "labels": {} if blueprint is None else dict(blueprint.labels),
        "choices": {} if blueprint is None else {k: list(v) for k, v in blueprint.choices.items()},
        "resources": dict(usage.resources),
        "living": sum(usage.resources.values()),
        "slots": None if blueprint is None else _slots(blueprint),
        "leased": usage.leased,
        "idle": usage.idle,
        "parked": usage.parked,
        "waiting": waiting,
        "hourly_cost": usage.priced + usage.unpriced * _expected_price(blueprint),
        "max_hourly_cost": None if blueprint is None else blueprint.max_hourly_cost,
    }
    shown: dict[str, Any] = discreet(row)
    shown["configuration"] = shown["effective"] = shown["overrides"] = {}
    shown["schema"] = None
    if definition is not None:
        configured, edited = definition
        shown["configuration"] = configuration(configured.fields)
        shown["effective"] = discreet(editable_values(edited.definition.fields))
        shown["overrides"] = _overrides(state, edited)
        shown["schema"] = _schema(configured.fields_class)
    return shown


def _overrides(state: BlueprintState, edited: Edited) -> dict[str, Any]:
    """Return what was edited, by whom, and why it is ignored if it cannot be in force."""
    shown: dict[str, Any] = discreet(
        {
            field: {
                "value": override.value,
                "author": override.author,
                "reason": override.reason,
                "at": override.at,
                "ignored": edited.ignored.get(field, ""),
            }
            for field, override in state.overrides.items()
        }
    )
    return shown


def _expected_price(blueprint: Blueprint | None) -> float:
    """Return what a resource counts for whose price is not known yet."""
    return 0.0 if blueprint is None else blueprint.expected_price or 0.0


def _state(blueprint: Blueprint | None, state: BlueprintState, now: float) -> str:
    """Return the one word that matters most."""
    mode = state.mode_at(now)
    if blueprint is None or blueprint.retired:
        return "retired"
    if mode is not Mode.ENABLED:
        return str(mode.value)
    if state.misconfigured:
        return "misconfigured"
    if state.retry_at is not None and state.retry_at > now:
        return "backing-off"
    return "probing" if state.failures >= blueprint.failure_budget else "ready"


def _capacity(blueprint: Blueprint) -> int:
    """Return how many resources there can be at once: no more than hosts, where they are listed."""
    hosts = blueprint.hosts
    return blueprint.limit if hosts is None else min(blueprint.limit, len(hosts))


def _slots(blueprint: Blueprint) -> int:
    """Return how many leases there can be at once."""
    if blueprint.hosts is not None:
        return sum(host.slots for host in blueprint.hosts[: blueprint.limit])
    return blueprint.limit * blueprint.leases_per_resource


@lru_cache(maxsize=64)
def _schema(cls: Any) -> dict[str, Any]:
    found: dict[str, Any] = cls.model_json_schema()
    return found


# --- hosts -----------------------------------------------------------------------------------


def host_rows(blueprints: Iterable[Blueprint], usage: Usage, now: float) -> list[dict[str, Any]]:
    """Return the hosts that are listed, and those that somebody took out of service."""
    listed: dict[str, ListedHost] = {}
    listing: dict[str, list[str]] = {}
    for blueprint in blueprints:
        for host in blueprint.hosts or ():
            listed.setdefault(host.name, host)
            listing.setdefault(host.name, []).append(blueprint.name)
    names = [*listed, *sorted(usage.host_states.keys() - listed.keys())]
    return [
        _host_row(
            name,
            listed.get(name),
            listing.get(name, []),
            usage.host_states.get(name, HostState(name=name)),
            usage.hosts.get(name),
            now,
        )
        for name in names
    ]


def _is_disabled(host: ListedHost, state: HostState, now: float) -> bool:
    """Tell whether somebody wants a host out of service, at run time or by its list."""
    return disabled_host(host, state, now) is not None


def host_key(name: str) -> str:
    """Return what stands for a host in the key of a message, where a dot would separate parts."""
    return _NOT_IN_A_KEY.sub("-", name)


def _host_row(
    name: str,
    host: ListedHost | None,
    blueprints: list[str],
    state: HostState,
    usage: HostUsage | None,
    now: float,
) -> dict[str, Any]:
    unusable = None if host is None else unusable_host(host, state, now)
    disabled = state.disabled_at(now)
    shown: dict[str, Any] = discreet(
        {
            "name": name,
            "hostid": host_key(name),
            "blueprints": blueprints,
            "listed": host is not None,
            "in_service": host is not None and unusable is None,
            "disabled": disabled or (host is not None and _is_disabled(host, state, now)),
            "why": "" if unusable is None else unusable.why,
            "labels": {} if host is None else dict(host.labels),
            "slots": None if host is None else host.slots,
            "leased": 0 if usage is None else usage.leased,
            "mode": (Mode.DISABLED if disabled else Mode.ENABLED).value,
            "at_once": disabled and state.at_once,
            "mode_reason": state.mode_reason if disabled or not state.at_once else "",
            "mode_author": state.mode_author,
            "mode_until": state.mode_until if disabled else None,
            "version": state.version,
            "resourceid": None if usage is None else usage.resource,
            "resource_status": None if usage is None else usage.status,
        }
    )
    return shown
