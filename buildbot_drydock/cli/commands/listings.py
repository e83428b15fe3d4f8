"""``blueprints``, ``resources``, ``leases`` and ``hosts``: what there is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import click
from rich.console import RenderableType

from buildbot_drydock.cli import views
from buildbot_drydock.cli.client import Row, part
from buildbot_drydock.cli.invocation import Invocation, verb

LIVING_RESOURCES: Final = ("pending", "active", "released", "broken")
LIVING_LEASES: Final = ("pending", "acquired", "active", "released", "broken")

_limit = click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    metavar="NUMBER",
    default=100,
    show_default=True,
    help="The newest so many.",
)
_all = click.option("--all", "ended", is_flag=True, help="Those that have ended, too.")


def _show(invocation: Invocation, rows: list[Row], shown: RenderableType, nothing: str) -> None:
    if invocation.output.as_json:
        invocation.output.json(rows)
    elif rows:
        invocation.output.show(shown)
    else:
        invocation.output.note(nothing)


def _statuses(chosen: Iterable[str], ended: bool, living: Iterable[str]) -> dict[str, Any]:
    if chosen:
        return {"status": list(chosen)}
    return {} if ended else {"status": list(living)}


@verb("blueprints")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def blueprints(invocation: Invocation, names: tuple[str, ...]) -> None:
    """Show what hosts there may be, and how each blueprint fares."""
    client = invocation.client
    if names:
        rows = [
            client.row(f"drydock_blueprints/{part(name)}", f"blueprint {name!r}") for name in names
        ]
    else:
        rows = client.rows("drydock_blueprints", limit=1_000)
    _show(invocation, rows, views.blueprints(rows), "there are no blueprints")


@verb("resources")
@click.option("--blueprint", "-b", multiple=True, metavar="NAME", help="Only those of this one.")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice((*LIVING_RESOURCES, "destroyed")),
    help="Only those of this status.",
)
@_all
@_limit
def resources(
    invocation: Invocation,
    blueprint: tuple[str, ...],
    status: tuple[str, ...],
    ended: bool,
    limit: int,
) -> None:
    """Show the hosts that there are."""
    client = invocation.client
    filters = _statuses(status, ended, LIVING_RESOURCES)
    if blueprint:
        filters["blueprint"] = list(blueprint)
    rows = client.rows("drydock_resources", order="-resourceid", limit=limit, **filters)
    _show(invocation, rows, views.resources(rows, client.master_now()), "there are no resources")


@verb("leases")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice((*LIVING_LEASES, "destroyed")),
    help="Only those of this status.",
)
@click.option(
    "--blueprint", "-b", multiple=True, metavar="NAME", help="Only those on resources of this one."
)
@click.option("--builder", metavar="NAME", help="Only those for builds of this builder.")
@_all
@_limit
def leases(
    invocation: Invocation,
    status: tuple[str, ...],
    blueprint: tuple[str, ...],
    builder: str | None,
    ended: bool,
    limit: int,
) -> None:
    """Show who has, or wants, what."""
    client = invocation.client
    filters = _statuses(status, ended, LIVING_LEASES)
    if blueprint:
        filters["blueprint"] = list(blueprint)
    if builder is not None:
        filters["builder"] = builder
    rows = client.rows("drydock_leases", order="-leaseid", limit=limit, **filters)
    _show(invocation, rows, views.leases(rows, client.master_now()), "there are no leases")


@verb("hosts")
@click.option("--blueprint", "-b", metavar="NAME", help="Only those that this one lists.")
def hosts(invocation: Invocation, blueprint: str | None) -> None:
    """Show the machines that blueprints list, and which are out of service."""
    client = invocation.client
    path = "drydock_hosts"
    if blueprint is not None:
        path = f"drydock_blueprints/{part(blueprint)}/drydock_hosts"
        client.row(f"drydock_blueprints/{part(blueprint)}", f"blueprint {blueprint!r}")
    rows = client.rows(path, limit=1_000)
    _show(invocation, rows, views.hosts(rows), "no blueprint lists hosts")


COMMANDS: Final = (blueprints, resources, leases, hosts)
