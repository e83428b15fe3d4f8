"""``release-lease``, ``renew``, ``release-resource`` and ``reclaim``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import click

from buildbot_drydock.cli import views
from buildbot_drydock.cli.client import Row
from buildbot_drydock.cli.exits import CommandError, NotFound, Refused
from buildbot_drydock.cli.invocation import Invocation, verb
from buildbot_drydock.cli.times import duration_option, moment

_reason = click.option(
    "--reason", "-m", default="", metavar="TEXT", help="Why, for others to read."
)
_id = click.IntRange(1)


def _each(
    invocation: Invocation,
    numbers: Iterable[int],
    act: Callable[[int], Row],
    said: Callable[[Row], str],
) -> None:
    """Do it to each, the others too if it fails for one; raise the first error at the end."""
    output = invocation.output
    rows: list[Row] = []
    failed: CommandError | None = None
    for number in numbers:
        try:
            row = act(number)
        except (NotFound, Refused) as problem:
            if failed is not None:
                output.complain(failed)
            failed = problem
            continue
        rows.append(row)
        if not output.as_json:
            output.say(said(row))
    if output.as_json:
        output.json(rows)
    if failed is not None:
        raise failed


@verb("release-lease")
@click.argument("numbers", nargs=-1, type=_id, metavar="[LEASE]...")
@click.option("--mine", is_flag=True, help="All leases of the user who is logged in.")
@_reason
def release_lease(
    invocation: Invocation, numbers: tuple[int, ...], mine: bool, reason: str
) -> None:
    """End leases. Whoever holds one is told."""
    client = invocation.client
    if not numbers and not mine:
        raise click.UsageError("name a lease, or give --mine")
    found = list(numbers)
    if mine:
        user = invocation.settings.user
        if not user:
            raise click.UsageError("--mine takes --user")
        rows = client.rows(
            "drydock_leases", owner=f"person/{user}", status=["pending", "acquired", "active"]
        )
        found += [row["leaseid"] for row in rows if row["leaseid"] not in found]

    def said(row: Row) -> str:
        return f"lease {row['leaseid']} is {row['status']}"

    _each(
        invocation,
        found,
        lambda number: client.act(f"drydock_leases/{number}", "release", {"reason": reason}),
        said,
    )


@verb("renew")
@click.argument("numbers", nargs=-1, required=True, type=_id, metavar="LEASE...")
@click.option(
    "--lifetime",
    callback=duration_option,
    metavar="DURATION",
    help="How long they live on, from now: 30m. Without, as long as a worker's lease.",
)
def renew(invocation: Invocation, numbers: tuple[int, ...], lifetime: float | None) -> None:
    """Let leases live on. A renewal never shortens."""
    client = invocation.client

    def said(row: Row) -> str:
        return f"lease {row['leaseid']} lives until {moment(row['expires_at'])}"

    _each(
        invocation,
        numbers,
        lambda number: client.act(f"drydock_leases/{number}", "renew", {"seconds": lifetime}),
        said,
    )


@verb("release-resource")
@click.argument("numbers", nargs=-1, required=True, type=_id, metavar="RESOURCE...")
@click.option("--break-leases", is_flag=True, help="Even if it is leased: its leases break.")
@_reason
def release_resource(
    invocation: Invocation, numbers: tuple[int, ...], break_leases: bool, reason: str
) -> None:
    """Give hosts back to their provider."""
    client = invocation.client
    _each(
        invocation,
        numbers,
        lambda number: client.act(
            f"drydock_resources/{number}",
            "reclaim",
            {"reason": reason, "break_leases": break_leases},
        ),
        lambda row: f"resource {row['resourceid']} is {row['status']}",
    )


@verb("reclaim")
@click.option(
    "--blueprint", "-b", multiple=True, metavar="NAME", help="The idle hosts of this blueprint."
)
@click.option("--all", "everything", is_flag=True, help="The idle hosts of all blueprints.")
@_reason
def reclaim(
    invocation: Invocation, blueprint: tuple[str, ...], everything: bool, reason: str
) -> None:
    """Give back all hosts that nobody leases; those that are leased stay."""
    if bool(blueprint) == everything:
        raise click.UsageError("give either --blueprint or --all")
    client, output = invocation.client, invocation.output
    known = client.rows("drydock_blueprints", limit=1_000)
    unknown = set(blueprint) - {row["name"] for row in known}
    if unknown:
        raise NotFound(
            f"there is no blueprint {min(unknown)!r}", f"there are: {views.named(known, 'name')}"
        )
    filters = {"blueprint": list(blueprint)} if blueprint else {}
    found = client.rows("drydock_resources", status="active", limit=1_000, **filters)
    rows: list[Row] = []
    for each in found:
        number = each["resourceid"]
        try:
            row = client.act(f"drydock_resources/{number}", "reclaim", {"reason": reason})
        except Refused as problem:
            output.note(f"resource {number} stays: {problem}")
            continue
        rows.append(row)
        if not output.as_json:
            output.say(f"resource {number} of {row['blueprint']} is {row['status']}")
    if output.as_json:
        output.json(rows)
    elif not rows:
        output.note("nothing is idle")


COMMANDS: Final = (release_lease, renew, release_resource, reclaim)
