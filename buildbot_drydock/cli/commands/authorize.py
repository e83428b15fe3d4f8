"""``authorize``: who may use which blueprint, and deciding that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import click

from buildbot_drydock.cli import views
from buildbot_drydock.cli.client import Client, Row, part
from buildbot_drydock.cli.exits import CommandError, NotFound, Refused
from buildbot_drydock.cli.invocation import Invocation, verb

STATUSES: Final = ("requested", "approved", "declined")

_reason = click.option(
    "--reason", "-m", default="", metavar="TEXT", help="Why, for others to read."
)
_blueprint = click.option(
    "--blueprint",
    "-b",
    metavar="NAME",
    help="The blueprint that subjects may use, or may not.",
)
_what = click.argument("what", nargs=-1, required=True, metavar="ID|SUBJECT...")


@click.group("authorize")
def authorize() -> None:
    """See who may use blueprints that need approval, and decide about it."""


@verb("list")
@click.option("--blueprint", "-b", metavar="NAME", help="Only those of this blueprint.")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice(STATUSES),
    help="Only those of this status.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000),
    metavar="NUMBER",
    default=100,
    show_default=True,
    help="The newest so many.",
)
def list_(
    invocation: Invocation, blueprint: str | None, status: tuple[str, ...], limit: int
) -> None:
    """Show who asked for approval, and what was decided by whom."""
    client, output = invocation.client, invocation.output
    path = "drydock_authorizations"
    if blueprint is not None:
        client.row(f"drydock_blueprints/{part(blueprint)}", f"blueprint {blueprint!r}")
        path = f"drydock_blueprints/{part(blueprint)}/{path}"
    filters: dict[str, Any] = {"status": list(status)} if status else {}
    rows = client.rows(path, order="-authorizationid", limit=limit, **filters)
    if output.as_json:
        output.json(rows)
    elif rows:
        output.show(views.authorizations(rows, client.master_now()))
    else:
        output.note("there are no authorizations")


@verb("approve")
@_what
@_blueprint
@_reason
def approve(
    invocation: Invocation, what: tuple[str, ...], blueprint: str | None, reason: str
) -> None:
    """Let subjects use a blueprint: what waits for that is served at once.

    A number is an authorization that was asked for. builder/NAME, project/NAME or person/NAME is
    somebody who need not have asked yet, and takes --blueprint.
    """
    _decide(invocation, "approve", what, blueprint, reason)


@verb("decline")
@_what
@_blueprint
@_reason
def decline(
    invocation: Invocation, what: tuple[str, ...], blueprint: str | None, reason: str
) -> None:
    """Keep subjects from a blueprint: leases that wait for nothing else break with the reason.

    What they have already stays theirs. ID and SUBJECT are those of approve.
    """
    _decide(invocation, "decline", what, blueprint, reason)


def _decide(
    invocation: Invocation,
    method: str,
    what: Iterable[str],
    blueprint: str | None,
    reason: str,
) -> None:
    """Decide each, the others too if one is refused; raise the first error at the end."""
    client, output = invocation.client, invocation.output
    decisions = [_decision(client, method, each, blueprint, reason) for each in what]
    rows: list[Row] = []
    failed: CommandError | None = None
    for decision in decisions:
        try:
            row = decision()
        except (NotFound, Refused) as problem:
            if failed is not None:
                output.complain(failed)
            failed = problem
            continue
        rows.append(row)
        if not output.as_json:
            output.say(f"{row['subject']} is {row['status']} for {row['blueprint']}")
    if output.as_json:
        output.json(rows)
    if failed is not None:
        raise failed


def _decision(
    client: Client, method: str, what: str, blueprint: str | None, reason: str
) -> Callable[[], Row]:
    """Return what asks the master for one decision. Raises ``UsageError``."""
    if what.isdecimal():
        if blueprint is not None:
            raise click.UsageError(f"{what} is an authorization of its own; leave out --blueprint")
        return lambda: client.act(f"drydock_authorizations/{what}", method, {"reason": reason})
    if blueprint is None:
        raise click.UsageError(
            f"{what!r} is no number of an authorization; for a subject, such as builder/NAME, "
            "give --blueprint"
        )
    params = {"blueprint": blueprint, "subject": what, "reason": reason}
    return lambda: client.act("drydock_authorizations", method, params)


for _command in (list_, approve, decline):
    authorize.add_command(_command)

COMMANDS: Final = (authorize,)
