"""Rows of the API as tables and lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from buildbot_drydock.cli.client import Row
from buildbot_drydock.cli.field_values import shown
from buildbot_drydock.cli.output import pairs, sentence, state, table, text
from buildbot_drydock.cli.times import moment, span


def blueprints(rows: Iterable[Row]) -> Table:
    return table(
        ("BLUEPRINT", "KIND", "STATE", "HOSTS", "LEASED", "IDLE", "WAITING", "PER HOUR"),
        (
            (
                row["name"],
                row["kind"],
                state(row["state"]),
                counts(row["resources"]),
                str(row["leased"]) + ("" if row["slots"] is None else f" of {row['slots']}"),
                row["idle"],
                row["waiting"],
                money(row),
            )
            for row in rows
        ),
    )


def counts(resources: Mapping[str, int]) -> str:
    """Say how many there are, by status; ``2 active, 1 pending``."""
    return ", ".join(f"{number} {status}" for status, number in resources.items() if number)


def money(row: Row) -> str:
    """Say what a blueprint's resources cost an hour, and what they may."""
    limit = row["max_hourly_cost"]
    if not row["hourly_cost"] and limit is None:
        return ""
    return f"{row['hourly_cost']:g}" + ("" if limit is None else f" of {limit:g}")


def resources(rows: Iterable[Row], now: float) -> Table:
    return table(
        ("RESOURCE", "BLUEPRINT", "STATUS", "SINCE", "HOST", "ADDRESS", "LABELS", "COST", "REASON"),
        (
            (
                row["resourceid"],
                row["blueprint"],
                state(row["status"]),
                span(now - row["since"]),
                row["host"] or row["identity"],
                row["address"],
                pairs(row["labels"]),
                "" if row["cost"] is None else f"{row['cost']:.4g}",
                row["reason"] or row["fault"],
            )
            for row in rows
        ),
    )


def leases(rows: Iterable[Row], now: float) -> Table:
    return table(
        ("LEASE", "FOR", "STATUS", "SINCE", "BLUEPRINT", "RESOURCE", "SLOT", "BUILD", "REASON"),
        (
            (
                row["leaseid"],
                holder(row),
                state(row["status"]),
                span(now - row["since"]),
                row["blueprint"],
                row["resourceid"],
                row["slot"],
                build(row),
                why(row),
            )
            for row in rows
        ),
    )


def holder(row: Row) -> str:
    """Say who has a lease: a person, a worker, or what else its owner is."""
    return str(row.get("person") or row.get("worker") or row["owner"])


def build(row: Row) -> str:
    """Say which build a lease was requested for: ``tests/12``."""
    number = row.get("build")
    return (row.get("builder") or "") + ("" if number is None else f"/{number}")


def why(row: Row) -> str:
    """Say in one line why a lease waits, or ended."""
    first = next(iter(row["reasons"]), None)
    reason = first["sentence"] if first is not None else row["reason"]
    others = len(row["reasons"]) - 1
    line = " ".join(str(reason or "").split())
    return line + (f" (and {others} more)" if others > 0 else "")


def hosts(rows: Iterable[Row]) -> Table:
    return table(
        ("HOST", "BLUEPRINTS", "IN SERVICE", "LEASED", "RESOURCE", "LABELS", "WHY"),
        (
            (
                row["name"],
                ", ".join(row["blueprints"]),
                text("yes", "green") if row["in_service"] else text("no", "bold red"),
                str(row["leased"]) + ("" if row["slots"] is None else f" of {row['slots']}"),
                row["resourceid"],
                pairs(row["labels"]),
                row["why"],
            )
            for row in rows
        ),
    )


def authorizations(rows: Iterable[Row], now: float) -> Table:
    return table(
        ("ID", "BLUEPRINT", "SUBJECT", "STATUS", "REQUESTED", "LEASE", "BY", "REASON"),
        (
            (
                row["authorizationid"],
                row["blueprint"],
                row["subject"],
                state(row["status"] if row["in_force"] else f"{row['status']}, not needed"),
                "" if row["requested_at"] is None else f"{span(now - row['requested_at'])} ago",
                row["leaseid"],
                row["author"] or row["approvers"],
                row["reason"],
            )
            for row in rows
        ),
    )


def fields(row: Row, names: Iterable[str]) -> Table:
    """Return fields of a blueprint: what is configured, what is in force, and who edited it."""
    return table(
        ("FIELD", "CONFIGURED", "IN FORCE", "EDITED BY", "REASON"),
        (
            (
                name,
                shown(row["configuration"].get(name)),
                shown(row["effective"].get(name)),
                row["overrides"].get(name, {}).get("author"),
                _ignored(row["overrides"].get(name, {})),
            )
            for name in names
        ),
    )


def _ignored(override: Mapping[str, Any]) -> str:
    if override.get("ignored"):
        return f"{shown(override['value'])} is ignored: {override['ignored']}"
    return str(override.get("reason", ""))


def about(event: Row) -> str:
    """Say what an event is about: ``lease 3, resource 2, linux``."""
    parts = (("lease", event["leaseid"]), ("resource", event["resourceid"]))
    named = [f"{what} {number}" for what, number in parts if number is not None]
    return ", ".join([*named, *filter(None, [event["blueprint"]])])


def event(row: Row) -> RenderableType:
    """Return an event as a line; what is longer is set below its beginning."""
    return sentence(row["sentence"] or row["kind"], beside=f"{moment(row['at'])}  {about(row)}: ")


def lease_line(row: Row) -> RenderableType:
    """Say how a lease is by now, with all reasons if it waits."""
    line = text(f"lease {row['leaseid']} is ")
    line.append_text(state(row["status"]))
    if row["status"] in ("acquired", "active"):
        line.append_text(text(f" on resource {row['resourceid']} of {row['blueprint']}"))
    elif row["reason"]:
        line.append_text(text(f": {row['reason']}"))
    for reason in row["reasons"]:
        line.append("\n  ")
        line.append_text(text(reason["sentence"].replace("\n", "\n    ")))
    return line


def facts(pairs_: Iterable[tuple[str, Any]]) -> Table:
    """Return names and values, one below the other; those that are not known are left out."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs_:
        if value not in (None, "", [], {}):
            made.add_row(Text(name), value if isinstance(value, Text) else text(value))
    return made


def named(rows: Sequence[Row], key: str) -> str:
    return ", ".join(str(row[key]) for row in rows)
