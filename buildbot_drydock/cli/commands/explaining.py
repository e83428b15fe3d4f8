"""``why``: why a lease, a build or a builder waits, or how it ended, on one screen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import click
from rich.console import RenderableType
from rich.text import Text

from buildbot_drydock.cli import problems, remedies, views
from buildbot_drydock.cli.client import Client, Row
from buildbot_drydock.cli.commands.status import finding
from buildbot_drydock.cli.exits import NotFound, Refused
from buildbot_drydock.cli.invocation import Invocation, verb
from buildbot_drydock.cli.output import indented, pairs, text
from buildbot_drydock.cli.times import moment, span

_EVENTS_SHOWN: Final = 10
_LEASES_SHOWN: Final = 5
_BUILD_ID: Final = re.compile(r"build:(\d+)")
_OF_BUILDER: Final = re.compile(r"(.+)/(\d+)")
_GOOD: Final = ("pending", "acquired", "active")
LIVING: Final = ("pending", "acquired", "active", "released", "broken")


@verb("why")
@click.argument("what", metavar="LEASE|BUILD|BUILDER")
def why(invocation: Invocation, what: str) -> None:
    """Explain why something waits, or how it ended.

    A number is a lease, BUILDER/NUMBER a build, build:ID one by its id, and all else a builder.
    """
    client = invocation.client
    read = _read(client, what)
    if invocation.output.as_json:
        invocation.output.json(read)
    else:
        invocation.output.show(*_screen(read, client.master_now()))


def _read(client: Client, what: str) -> dict[str, Any]:
    if what.isdecimal():
        leases = [client.row(f"drydock_leases/{what}", f"lease {what}")]
        return _with_blueprints(client, {"leases": leases})
    if found := _BUILD_ID.fullmatch(what):
        return _of_build(client, client.row(f"builds/{found[1]}", f"build {found[1]}"))
    builder = _builder(client, what)
    if builder is not None:
        return _of_builder(client, builder)
    if found := _OF_BUILDER.fullmatch(what):
        builder = _builder(client, found[1])
        if builder is not None:
            path = f"builders/{builder['builderid']}/builds/{found[2]}"
            return _of_build(client, client.row(path, f"build {what}"))
    known = views.named(client.rows("builders", order="name", limit=20), "name")
    raise NotFound(
        f"there is no builder {what!r}",
        f"give the number of a lease, BUILDER/NUMBER or one of: {known}",
    )


def _builder(client: Client, name: str) -> Row | None:
    return next(iter(client.rows("builders", name=name)), None)


def _of_build(client: Client, build: Row) -> dict[str, Any]:
    leases = client.rows(
        f"builds/{build['buildid']}/drydock_leases", order="-leaseid", limit=_LEASES_SHOWN
    )
    return _with_blueprints(client, {"build": build, "leases": leases})


def _of_builder(client: Client, builder: Row) -> dict[str, Any]:
    path = f"builders/{builder['builderid']}"
    requests = client.rows(
        f"{path}/buildrequests", complete="false", claimed="false", order="submitted_at"
    )
    workers = client.rows(f"{path}/workers")
    living = client.rows("drydock_leases", status=LIVING, order="leaseid", limit=1_000)
    names = {row["name"] for row in workers}
    leases = [row for row in living if row["builder"] == builder["name"] or row["worker"] in names]
    leases.sort(key=lambda row: (row["status"] != "pending", row["leaseid"]))
    if requests and not leases:
        leases = _last_of(client, builder["name"])
    read = {"builder": builder, "requests": requests, "workers": workers, "leases": leases}
    return _with_blueprints(client, read)


def _last_of(client: Client, builder: str) -> list[Row]:
    """Return the last lease of a builder, which has ended; none if it was too long ago to tell."""
    try:
        return client.rows("drydock_leases", builder=builder, order="-leaseid", limit=1)
    except Refused:
        return []


def _with_blueprints(client: Client, read: dict[str, Any]) -> dict[str, Any]:
    """Add the blueprints that matter to the leases, and what happened to the newest of these."""
    leases: list[Row] = read["leases"]
    blueprints = client.rows("drydock_blueprints", limit=1_000)
    wanted = {each.get("blueprint") for row in leases for each in row["reasons"]}
    wanted |= {row["blueprint"] for row in leases}
    wanted |= {name for row in leases for name in row["blueprints"]}
    read["blueprints"] = [row for row in blueprints if "builder" in read or row["name"] in wanted]
    read["events"] = (
        client.rows(
            "drydock_events",
            leaseid=leases[0]["leaseid"],
            order="-eventid",
            limit=_EVENTS_SHOWN,
        )
        if leases
        else []
    )
    return read


# --- the screen ------------------------------------------------------------------------------


def _screen(read: Mapping[str, Any], now: float) -> list[RenderableType]:
    leases: list[Row] = read["leases"]
    parts: list[RenderableType] = []
    if "builder" in read:
        parts += _about_builder(read, now)
    if "build" in read:
        parts += _about_build(read["build"], leases)
    for lease in leases[:_LEASES_SHOWN]:
        parts += _about_lease(lease, now)
    if len(leases) > _LEASES_SHOWN:
        parts.append(text(f"and {len(leases) - _LEASES_SHOWN} more leases: drydock leases"))
    findings = problems.worst_first(problems.of_blueprints(read["blueprints"], now))
    if findings:
        parts += [Text(), *map(finding, findings)]
    if read["events"]:
        heading = text(f"What happened to lease {leases[0]['leaseid']}", "bold")
        parts += [Text(), heading, *indented(*map(views.event, reversed(read["events"])))]
    return parts


def _about_builder(read: Mapping[str, Any], now: float) -> Iterable[RenderableType]:
    name, requests = read["builder"]["name"], read["requests"]
    if requests:
        oldest = span(now - min(row["submitted_at"] for row in requests))
        yield text(f"{name}: {_number(len(requests), 'build request')} waiting, for up to {oldest}")
    else:
        yield text(f"{name}: no build request waits")
    workers, leases = read["workers"], read["leases"]
    pending = [row for row in leases if row["status"] == "pending"]
    having = {row["worker"] for row in leases if row["status"] in ("acquired", "active")}
    yield text(
        f"{_number(len(workers), 'worker')}, {len(having)} with a host; "
        f"{_number(len(pending), 'lease')} waiting"
    )
    if not workers:
        yield text("Remedy: give the builder workernames=drydock.workernames(POOL)", "dim")
    elif requests and not pending:
        yield text(
            "A worker takes a build only once there is room for it, and not at once after it failed "
            "to start; until then the request stays in Buildbot's queue. See below, and drydock "
            "status."
        )


def _number(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _about_build(build: Row, leases: list[Row]) -> Iterable[RenderableType]:
    ended = build["complete"]
    yield text(
        f"build {build['number']} ({build['buildid']}) "
        + (f"ended {moment(build['complete_at'])}" if ended else "is running")
        + f": {build['state_string']}"
    )
    if not leases:
        yield text(
            "No lease was requested for it: its worker is none of Drydock's, or had its host "
            "already, for an earlier build."
        )


def _about_lease(row: Row, now: float) -> Iterable[RenderableType]:
    yield views.lease_line({**row, "reasons": []})
    if row["status"] not in _GOOD and (remedy := remedies.of_end(row["reason"])):
        yield text(f"    Remedy: {remedy}", "dim")
    for reason in row["reasons"]:
        remedy = remedies.of_reason(reason)
        line = Text()
        line.append_text(text(f"  {reason['sentence']}".replace("\n", "\n    "), "yellow"))
        if remedy:
            line.append_text(text(f"\n    Remedy: {remedy}", "dim"))
        yield line
    if row["status"] == "pending" and not row["reasons"]:
        yield text("  no reason is known yet: ask again in a moment")
    yield views.facts(
        [
            ("  for", views.holder(row)),
            ("  build", views.build(row)),
            ("  requires", pairs(row["requires"])),
            ("  blueprints", ", ".join(row["blueprints"])),
            (
                "  requested",
                f"{moment(row['requested_at'])}, {span(now - row['requested_at'])} ago",
            ),
            ("  since", f"{moment(row['since'])}, {span(now - row['since'])} ago"),
            ("  expires", moment(row["expires_at"]) if row["status"] in LIVING else ""),
            ("  given back", "\n".join(map(str, row["returns"]))),
        ]
    )


COMMANDS: Final = (why,)
