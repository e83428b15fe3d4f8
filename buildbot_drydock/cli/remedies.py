"""What can be done about a reason for waiting, and about a state of a blueprint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

OF_REASONS: Final[Mapping[str, str]] = {
    "full": "wait, release a lease (drydock leases), or raise `limit` of {blueprint}",
    "over-budget": "wait, or raise what {blueprint} may cost: `max_hourly_cost`, `max_daily_cost`",
    "quota": "wait, release a lease that counts in it (drydock leases), or raise `leases` of the quota",
    "booting": "wait; if it never comes, see drydock log --blueprint {blueprint}",
    "reclaiming": "wait: it goes, for one that fits",
    "backing-off": "read the error; it is tried again by itself",
    "probing": "read the error; once one host comes up, all is forgotten",
    "misconfigured": "do what the error says; it is tried again every 10 minutes, and after a "
    "reconfig",
    "held-back": "read the error; see drydock log --resource {resource}",
    "out-of-service": "ask who did it, or: drydock resume {blueprint}",
    "no-host-in-service": "do what the errors say; a host that somebody disabled is taken back by "
    "drydock resume --host NAME",
    "parking": "wait: it is woken as soon as it is parked",
    "not-authorized": "ask for another blueprint, or have `allow` of {blueprint} name the builder, "
    "project or person",
    "awaiting-approval": "have it approved: drydock authorize approve -b {blueprint} {subject}",
    "declined": "use another blueprint, or ask {by}, who can still change it: "
    "drydock authorize approve -b {blueprint} {subject}",
    "does-not-fit": "another blueprint has to serve it; if none can, change its `labels` or what "
    "is required",
}
OF_STATES: Final[Mapping[str, str]] = {
    "paused": "drydock resume {name}",
    "draining": "drydock resume {name}",
    "disabled": "drydock resume {name}",
    "misconfigured": "do what the error says; it is tried again every 10 minutes, and after a "
    "reconfig",
    "backing-off": "read the error; it is tried again by itself",
    "probing": "read the error; once one host comes up, all is forgotten",
    "retired": "nothing: it left the configuration, and its last hosts go",
}


# By what is in the reason of a lease that ended, or of a host that could not be used.
OF_ENDS: Final[Mapping[str, str]] = {
    r"never fits: ": OF_REASONS["does-not-fit"],
    r"did not log in ": "see that hosts reach the port of the master for workers: its firewall, "
    "and `masterFQDN` of the pool",
    r"stopped renewing it": "drydock lease renews while it runs; with --keep, give it a longer "
    "--lifetime, or drydock renew",
    r", which .* declined": "use another blueprint, or have it approved: drydock authorize list",
}


class _Filled(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return key.upper()


def of_reason(reason: Mapping[str, Any]) -> str:
    """Return what to do about why a lease waits; nothing if a later version gives the reason."""
    return OF_REASONS.get(str(reason.get("kind")), "").format_map(_Filled(reason))


def of_blueprint(row: Mapping[str, Any]) -> str:
    return OF_STATES.get(str(row.get("state")), "").format_map(_Filled(row))


def of_end(reason: str) -> str:
    """Return what to do about why a lease ended, or a host could not be used, if that is known."""
    found = (remedy for words, remedy in OF_ENDS.items() if re.search(words, reason))
    return next(found, "").format_map(_Filled())
