"""What is wrong with what the API tells, worst first, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from buildbot_drydock.cli import remedies
from buildbot_drydock.cli.client import Row
from buildbot_drydock.cli.times import moment, span

LONG_WAIT_SECONDS: Final = 900.0
# The kinds of reasons that time does not mend.
NEVER: Final = frozenset({"does-not-fit", "declined"})
_TRIED_AGAIN: Final = ("backing-off", "probing")
_STOPPED: Final = ("paused", "draining", "disabled")


class Severity(Enum):
    OK = "ok"
    NOTICE = "notice"  # somebody wants it so
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    subject: str
    severity: Severity
    message: str
    remedy: str = ""

    def data(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "severity": self.severity.value,
            "message": self.message,
            "remedy": self.remedy,
        }


def of_blueprints(rows: Iterable[Row], now: float) -> list[Finding]:
    return [each for row in rows for each in _of_blueprint(row, now)]


def _of_blueprint(row: Row, now: float) -> Iterable[Finding]:
    name, state = row["name"], row["state"]
    subject = f"blueprint {name}"
    remedy = remedies.of_blueprint(row)
    if state == "misconfigured":
        yield _problem(subject, f"it is misconfigured: {row['last_error']}", remedy)
    elif state in _TRIED_AGAIN:
        left = "" if row["retry_at"] is None else f", retry in {span(row['retry_at'] - now)}"
        message = f"{row['failures']} launches failed in a row{left}: {row['last_error']}"
        yield _problem(subject, message, remedy)
    elif state in _STOPPED:
        by = f" by {row['mode_author']}" if row["mode_author"] else ""
        until = f" until {moment(row['mode_until'])}" if row["mode_until"] else ""
        why = f": {row['mode_reason']}" if row["mode_reason"] else ""
        yield Finding(
            subject=subject,
            severity=Severity.NOTICE,
            message=f"it is {state}{by}{until}{why}",
            remedy=remedy,
        )
    if state != "misconfigured" and row.get("listing_error"):
        yield _problem(
            subject,
            f"its hosts can't be listed: {row['listing_error']}",
            "do what the error says; it is asked again by itself",
        )
    limit = row["max_hourly_cost"]
    if limit is not None and row["hourly_cost"] > limit:
        yield _problem(
            subject,
            f"it costs {row['hourly_cost']:g} an hour, more than the {limit:g} it may",
            f"drydock reclaim --blueprint {name}, or raise max_hourly_cost",
        )


def of_hosts(rows: Iterable[Row]) -> list[Finding]:
    found = []
    for row in rows:
        if row["in_service"] or not row["listed"]:
            continue
        wanted = row["mode"] == "disabled"
        found.append(
            Finding(
                subject=f"host {row['name']}",
                severity=Severity.NOTICE if wanted else Severity.PROBLEM,
                message=f"it is out of service: {row['why']}",
                remedy=f"drydock resume --host {row['name']}"
                if wanted
                else _of_failing(row["why"]),
            )
        )
    return found


def _of_failing(why: str) -> str:
    """Return what to do about a host that nobody disabled."""
    told = "do what the error says" if "(remedy: " in why else "see that the master reaches it"
    return f"{told}; it is probed, and used again by itself"


def of_resources(rows: Iterable[Row]) -> list[Finding]:
    """Say which hosts the last lease could not use, and why."""
    return [
        _problem(
            f"resource {row['resourceid']} of {row['blueprint']}",
            f"no worker could be started on it, {row['faults']} times in a row: {row['fault']}",
            remedies.of_end(row["fault"]) or "read the error; it is tried again by itself",
        )
        for row in rows
        if row["faults"]
    ]


def of_waiting(rows: Iterable[Row], now: float) -> list[Finding]:
    """Say which of the leases that wait will never be served, or wait for long."""
    found = []
    for row in rows:
        subject = f"lease {row['leaseid']}"
        kinds = {reason["kind"] for reason in row["reasons"]}
        waited = now - row["requested_at"]
        if kinds and kinds <= NEVER:
            message = f"no blueprint will ever serve it: {_first(row)}"
            found.append(_problem(subject, message, _remedy(row)))
        elif waited >= LONG_WAIT_SECONDS:
            message = f"it has waited for {span(waited)}: {_first(row)}"
            found.append(_problem(subject, message, _remedy(row)))
    return found


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    order: Mapping[Severity, int] = {Severity.PROBLEM: 0, Severity.NOTICE: 1, Severity.OK: 2}
    return sorted(findings, key=lambda each: order[each.severity])


def _problem(subject: str, message: str, remedy: str) -> Finding:
    return Finding(subject=subject, severity=Severity.PROBLEM, message=message, remedy=remedy)


def _first(row: Row) -> str:
    return next((str(each["sentence"]) for each in row["reasons"]), "no reason is known yet")


def _remedy(row: Row) -> str:
    return next((remedies.of_reason(each) for each in row["reasons"]), "")
