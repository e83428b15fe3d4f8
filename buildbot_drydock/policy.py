"""The small decisions: what fits, what goes first, how long to back off, what to keep.

Pure functions of values. ``planner`` puts them in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from buildbot_drydock.model import (
    Blueprint,
    BlueprintState,
    Health,
    HostState,
    Labels,
    ListedHost,
    Mode,
    Notice,
    Observed,
    Resource,
)
from buildbot_drydock.reasons import (
    BackingOff,
    DoesNotFit,
    Misconfigured,
    OutOfService,
    Probing,
    Reason,
    UnusableHost,
)

# The clocks of two masters may differ by this much.
CLOCK_TOLERANCE_SECONDS: Final = 5.0
# A host that was told to go is told again after this many seconds, if it is still listed.
DESTROY_AGAIN_SECONDS: Final = 60.0
# One that was told to stop, or to start, is told again after this many seconds if it has not.
POWER_AGAIN_SECONDS: Final = 60.0
# One that is not parked within this many seconds is released. Hibernation takes some minutes.
LONGEST_PARKING_SECONDS: Final = 1200.0
# The times of two notices about one end may differ by this much.
NOTICE_TOLERANCE_SECONDS: Final = 1.0
# A lease whose set-up or clean-up failed this often in a row is given up.
MOST_CALL_FAILURES: Final = 5
# A resource that so many leases in a row could not use is given up, unless it is a listed host.
MOST_FAULTS: Final = 5
# One that a lease could not use is held back for 2 s, doubled by each further one up to this.
LONGEST_HOLD_SECONDS: Final = 300.0
# A misconfigured blueprint is tried again after this many seconds: it may have been mended outside.
MISCONFIGURED_RETRY_SECONDS: Final = 600.0


def backoff_seconds(failures: int, *, uniform: float, at_least: float = 0.0) -> float:
    """Return how long to wait after *failures* in a row: 2 s, doubling up to 5 min.

    *uniform* is a random number in [0, 1), which spreads the waits over their upper half, so that
    masters and blueprints that failed together do not return together.
    """
    longest = min(300.0, 2.0 ** min(failures, 10))
    return max(at_least, longest * (0.5 + 0.5 * uniform))


def offered_values(blueprint: Blueprint, label: str) -> tuple[str, ...]:
    """Return what a resource of *blueprint* can have for a label; nothing if it has no such."""
    if blueprint.hosts is not None:
        return _values(blueprint.hosts, label)
    fixed = blueprint.labels.get(label)
    return (fixed,) if fixed is not None else tuple(blueprint.choices.get(label, ()))


def _values(hosts: Sequence[ListedHost], label: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(host.labels[label] for host in hosts if label in host.labels))


def misfit(blueprint: Blueprint, requires: Labels) -> DoesNotFit | None:
    """Return the first requirement that *blueprint* can never meet, if there is one.

    Listed hosts count whether they are in service or not: who waits for one may get it.
    """
    if blueprint.hosts is not None:
        return _misfit_of_hosts(blueprint.name, blueprint.hosts, requires)
    for label, wanted in sorted(requires.items()):
        offered = offered_values(blueprint, label)
        if wanted not in offered:
            return DoesNotFit(blueprint=blueprint.name, label=label, wanted=wanted, offered=offered)
    return None


def _misfit_of_hosts(
    blueprint: str, hosts: Sequence[ListedHost], requires: Labels
) -> DoesNotFit | None:
    """Return the first requirement that no host meets which meets those before it."""
    for label, wanted in sorted(requires.items()):
        fitting = [host for host in hosts if host.labels.get(label) == wanted]
        if not fitting:
            offered = _values(hosts, label)
            return DoesNotFit(blueprint=blueprint, label=label, wanted=wanted, offered=offered)
        hosts = fitting
    return None


def meets(labels: Labels, requires: Labels) -> bool:
    """Tell whether a resource with *labels* satisfies *requires*."""
    return all(labels.get(label) == wanted for label, wanted in requires.items())


def labels_to_build(blueprint: Blueprint, requires: Labels) -> Labels:
    """Return the labels of a new resource that is to satisfy *requires*."""
    chosen = {
        label: requires.get(label, offered[0]) for label, offered in blueprint.choices.items()
    }
    return {**chosen, **blueprint.labels}


def out_of_service(blueprint: Blueprint, now: float) -> OutOfService | None:
    """Return why *blueprint* takes no leases at all, if it does not."""
    if blueprint.retired:
        return OutOfService(
            blueprint=blueprint.name,
            mode="retired",
            by="",
            until=None,
            why="it is no longer configured",
        )
    state = blueprint.state
    mode = state.mode_at(now)
    if mode is Mode.ENABLED:
        return None
    return OutOfService(
        blueprint=blueprint.name,
        mode=mode.value,
        by=state.mode_author,
        until=state.mode_until,
        why=state.mode_reason,
    )


def disabled_host(host: ListedHost, state: HostState | None, now: float) -> UnusableHost | None:
    """Return why somebody has taken a listed host out of service, if that is so."""
    if state is not None and state.disabled_at(now):
        by = f" by {state.mode_author}" if state.mode_author else ""
        why = f" ({state.mode_reason})" if state.mode_reason else ""
        return UnusableHost(name=host.name, why=f"is disabled{by}{why}", until=state.mode_until)
    if host.disabled:
        return UnusableHost(name=host.name, why=f"is disabled in its list ({host.disabled})")
    return None


def unusable_host(host: ListedHost, state: HostState | None, now: float) -> UnusableHost | None:
    """Return why a listed host takes no leases, if it does not. Nothing else decides that."""
    disabled = disabled_host(host, state, now)
    if disabled is None and host.unavailable:
        return UnusableHost(name=host.name, why=host.unavailable)
    return disabled


def slots_of(blueprint: Blueprint, host: ListedHost | None) -> int:
    """Return how many leases one resource carries at once; *host* is the listed host that it is."""
    return blueprint.leases_per_resource if host is None else host.slots


def no_launch(blueprint: Blueprint, *, booting: int, now: float) -> Reason | None:
    """Return why *blueprint* may not start another host now, its limit apart.

    *booting* is how many of its hosts are on their way.
    """
    state = blueprint.state
    if state.retry_at is not None and state.retry_at > now:
        if state.misconfigured:
            return Misconfigured(
                blueprint=blueprint.name, error=state.last_error, retry_at=state.retry_at
            )
        return BackingOff(
            blueprint=blueprint.name,
            failures=state.failures,
            retry_at=state.retry_at,
            error=state.last_error,
        )
    if budget_spent(blueprint, state) and booting:
        return Probing(
            blueprint=blueprint.name,
            failures=state.failures,
            budget=blueprint.failure_budget,
            error=state.last_error,
        )
    return None


def budget_spent(blueprint: Blueprint, state: BlueprintState) -> bool:
    return state.misconfigured or state.failures >= blueprint.failure_budget


def worn_out(blueprint: Blueprint, resource: Resource, now: float) -> str | None:
    """Return why *resource* takes no further lease, if it does not."""
    if blueprint.max_uses is not None and resource.uses >= blueprint.max_uses:
        return f"it served {resource.uses} leases, as many as it may"
    if blueprint.max_age is not None and now >= resource.created_at + blueprint.max_age:
        return f"it is older than {blueprint.max_age:.0f} s"
    return None


def held_back_until(resource: Resource) -> float | None:
    """Return until when a resource is not offered, as the last lease could not use it."""
    if not resource.faults or resource.fault_at is None:
        return None
    return resource.fault_at + min(LONGEST_HOLD_SECONDS, 2.0 ** min(resource.faults, 10))


_READIEST_FIRST: Final = (
    Health.READY,
    Health.STARTING,
    Health.PARKED,
    Health.PARKING,
    Health.FAILING,
)


def keeper(hosts: Sequence[Observed], resource: Resource) -> Observed | None:
    """Of the hosts that bear one token, return the one that counts.

    That is the one the row remembers, and no other, once it remembers one; before that the
    readiest, then the oldest.
    """
    if resource.identity:
        return next((host for host in hosts if host.identity == resource.identity), None)
    order = {health: rank for rank, health in enumerate(_READIEST_FIRST)}
    return min(
        hosts,
        default=None,
        key=lambda host: (
            order[host.health],
            host.created_at or 0.0,
            host.identity,
        ),
    )


def notice_to_give(blueprint: Blueprint, resource: Resource, host: Observed) -> Notice | None:
    """Return the notice that a host was given, if it says more than what is written down already.

    A notice is never taken back, and only a sooner end replaces one: two masters whose providers
    know different things write down the same in the end, and do not contradict each other for ever.
    """
    notice = host.notice
    if notice is None or blueprint.hosts is not None:
        return None
    if resource.notice is None or _is_sooner(notice.ends_at, resource.ends_at):
        return notice
    return None


def _is_sooner(new: float | None, known: float | None) -> bool:
    """Tell whether an end is sooner than the one known by more than times are rounded."""
    return new is not None and (known is None or new < known - NOTICE_TOLERANCE_SECONDS)
