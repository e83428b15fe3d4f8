"""``pause``, ``drain``, ``disable`` and ``resume``: taking out of service, and back."""

from __future__ import annotations

from typing import Any, Final

import click

from buildbot_drydock.cli.client import part
from buildbot_drydock.cli.invocation import Invocation, verb
from buildbot_drydock.cli.times import moment, time_of, time_option

_reason = click.option(
    "--reason", "-m", default="", metavar="TEXT", help="Why, for others to read."
)
_until = click.option(
    "--until",
    callback=time_option,
    metavar="TIME",
    help="When it ends by itself: 2h, or 2030-12-31T18:00. Without, somebody has to end it.",
)
_names = click.argument("names", nargs=-1, required=True, metavar="BLUEPRINT...")
_names_or_host = click.argument("names", nargs=-1, metavar="[BLUEPRINT]...")


def _change(
    invocation: Invocation,
    method: str,
    names: tuple[str, ...],
    hosts: tuple[str, ...],
    params: dict[str, Any],
    of_hosts: dict[str, Any] | None = None,
) -> None:
    """Do it to each. Blueprints and hosts have names of their own for it (*of_hosts*)."""
    if not names and not hosts:
        raise click.UsageError("name a blueprint, or a host by --host")
    client, output = invocation.client, invocation.output
    rows = []
    for name in names:
        row = client.act(f"drydock_blueprints/{part(name)}", method, params)
        rows.append(row)
        if not output.as_json:
            until = f" until {moment(row['mode_until'])}" if row["mode_until"] else ""
            output.say(f"blueprint {row['name']} is {row['state']}{until}")
    for name in hosts:
        row = client.act(
            f"drydock_hosts/{part(name)}",
            "enable" if method == "resume" else method,
            {**params, **(of_hosts or {})},
        )
        rows.append(row)
        if not output.as_json:
            why = "in service" if row["in_service"] else f"out of service: {row['why']}"
            output.say(f"host {row['name']} is {why}")
    if output.as_json:
        output.json(rows)


def _params(invocation: Invocation, reason: str, until: str | None) -> dict[str, Any]:
    if until is None:
        return {"reason": reason}
    invocation.client.rows("drydock_blueprints", limit=0)  # which tells the master's time
    return {"reason": reason, "until": time_of(until, invocation.client.master_now())}


@verb("pause")
@_names
@_reason
@_until
def pause(invocation: Invocation, names: tuple[str, ...], reason: str, until: str | None) -> None:
    """Let blueprints make no new hosts and leases; what is leased goes on."""
    _change(invocation, "pause", names, (), _params(invocation, reason, until))


@verb("drain")
@_names
@_reason
@_until
def drain(invocation: Invocation, names: tuple[str, ...], reason: str, until: str | None) -> None:
    """Pause blueprints, and let go of hosts once they are idle."""
    _change(invocation, "drain", names, (), _params(invocation, reason, until))


@verb("disable")
@_names_or_host
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="A listed host, instead of a blueprint."
)
@click.option("--at-once", is_flag=True, help="Break the leases on the host, instead of waiting.")
@_reason
@_until
def disable(
    invocation: Invocation,
    names: tuple[str, ...],
    hosts: tuple[str, ...],
    at_once: bool,
    reason: str,
    until: str | None,
) -> None:
    """Take blueprints or listed hosts out of service, meant to last."""
    if at_once and names:
        raise click.UsageError("--at-once is for hosts; drydock release-resource breaks leases")
    params = _params(invocation, reason, until)
    _change(invocation, "disable", names, hosts, params, {"at_once": at_once})


@verb("resume")
@_names_or_host
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="A listed host, instead of a blueprint."
)
@_reason
def resume(
    invocation: Invocation, names: tuple[str, ...], hosts: tuple[str, ...], reason: str
) -> None:
    """Take blueprints or listed hosts into service again."""
    _change(invocation, "resume", names, hosts, {"reason": reason})


COMMANDS: Final = (pause, drain, disable, resume)
