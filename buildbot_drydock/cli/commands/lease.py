"""``lease``: request hosts, wait for them, and hold them."""

from __future__ import annotations

import json
from typing import Final

import click

from buildbot_drydock.cli import views
from buildbot_drydock.cli.client import Row
from buildbot_drydock.cli.exits import CommandError
from buildbot_drydock.cli.holding import Holding
from buildbot_drydock.cli.interruption import Interrupted
from buildbot_drydock.cli.invocation import Invocation, verb
from buildbot_drydock.cli.output import Output, OutputGone, pairs
from buildbot_drydock.cli.requesting import LIVING, Requests
from buildbot_drydock.cli.times import duration_option, moment, time_of, time_option

HELD_SECONDS: Final = 300.0
KEPT_SECONDS: Final = 3_600.0
MOST_SECONDS: Final = 7 * 86_400.0  # that a master grants at once
MOST_AT_ONCE: Final = 50


class _Telling:
    """Shows events and leases as they come."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def event(self, row: Row) -> None:
        if self._output.as_json:
            self._output.json_line(row)
        else:
            self._output.show(views.event(row))

    def lease(self, row: Row) -> None:
        if self._output.as_json:
            self._output.json_line(row)
        elif row["reasons"]:
            self._output.show(views.lease_line(row))

    def note(self, message: str) -> None:
        self._output.note(message)


def _labels(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in values:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE, such as os=debian")
        if name in found:
            raise click.BadParameter(f"{name} is given twice")
        found[name] = value
    return found


def _attributes(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, str]:
    if value is None:
        return {}
    if not value.startswith("@"):
        raise click.BadParameter("give a file of JSON as @FILE, or @- for the standard input")
    try:
        with click.open_file(value[1:], encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as problem:
        raise click.BadParameter(f"{value[1:]} can't be read as JSON: {problem}") from None
    texts = isinstance(found, dict) and all(isinstance(each, str) for each in found.values())
    if not texts:
        raise click.BadParameter(f'{value[1:]} is no object of texts, such as {{"ticket": "12"}}')
    attributes: dict[str, str] = found
    return attributes


@verb("lease")
@click.option(
    "--requires",
    "-r",
    multiple=True,
    callback=_labels,
    metavar="NAME=VALUE",
    help="A label that the host must have.",
)
@click.option(
    "--blueprint", "-b", multiple=True, metavar="NAME", help="Only from this one; may be repeated."
)
@click.option(
    "--type",
    "type_",
    default="host",
    show_default=True,
    metavar="NAME",
    help="The type of resource.",
)
@click.option(
    "--count",
    "-n",
    type=click.IntRange(1, MOST_AT_ONCE),
    metavar="NUMBER",
    default=1,
    show_default=True,
    help="How many leases.",
)
@click.option(
    "--priority",
    type=int,
    default=0,
    show_default=True,
    metavar="NUMBER",
    help="Higher goes first.",
)
@click.option(
    "--attributes",
    callback=_attributes,
    metavar="@FILE",
    help="What else others should know of it: an object of texts, in JSON.",
)
@click.option(
    "--until",
    callback=time_option,
    metavar="TIME",
    help="When it ends anyway: 2h, or 2030-12-31T18:00.",
)
@click.option(
    "--lifetime",
    callback=duration_option,
    metavar="DURATION",
    help="How long it outlives this command if that is killed, or kept.  [default: 5m; with --keep "
    "1h, or as --until says]",
)
@click.option(
    "--timeout",
    callback=duration_option,
    metavar="DURATION",
    help="Give up if it is not active by then.  [default: never]",
)
@click.option(
    "--keep",
    is_flag=True,
    help="End when it is active, and leave it; leave it when interrupted, too.",
)
def lease(
    invocation: Invocation,
    requires: dict[str, str],
    blueprint: tuple[str, ...],
    type_: str,
    count: int,
    priority: int,
    attributes: dict[str, str],
    until: str | None,
    lifetime: float | None,
    timeout: float | None,
    keep: bool,
) -> None:
    """Request hosts, tell why it takes a while, and hold them until Ctrl-C.

    While it waits it shows what happens to the leases. Then it renews them until it is interrupted,
    and gives them back. If one of them ends, all are given back, and the last line says why.
    """
    client, output = invocation.client, invocation.output
    client.rows(
        "drydock_blueprints", limit=0
    )  # which tells whether there is a master, and its time
    end = None if until is None else time_of(until, client.master_now())
    seconds = _lifetime(lifetime, keep, None if end is None else end - client.master_now())
    params = {
        "type": type_,
        "requires": requires,
        "blueprints": list(blueprint),
        "priority": priority,
        "attributes": attributes,
        "seconds": seconds,
        "until": end,
    }
    telling = _Telling(output)
    requests = Requests(
        client,
        invocation.interruptions,
        new_mark=invocation.new_mark,
        pause=invocation.pause,
        note=output.note,
    )
    holding: Holding | None = None
    ended = "the command ended"
    try:
        for _ in range(count):
            row = requests.request(params)
            if not output.as_json:
                output.say(f"lease {row['leaseid']} is requested")
        holding = Holding(
            client, requests.taken.values(), telling, lifetime=seconds, pause=invocation.pause
        )
        holding.wait(timeout)
        _show_active(invocation, holding)
        if keep:
            return
        output.note("held and renewed; Ctrl-C gives it back")
        holding.hold()
    except BaseException as problem:
        ended = _why(problem)
        raise
    finally:
        _end(invocation, requests, holding, telling, seconds, ended, keep=keep)


def _lifetime(given: float | None, keep: bool, left: float | None) -> float:
    if given is not None:
        return min(given, MOST_SECONDS)
    if not keep:
        return HELD_SECONDS
    return KEPT_SECONDS if left is None else min(max(left, 1.0), MOST_SECONDS)


def _why(problem: BaseException) -> str:
    if isinstance(problem, Interrupted):
        return f"the command was ended: {problem}"
    if isinstance(problem, CommandError):
        return f"the command ended: {problem.kind}"
    if isinstance(problem, OutputGone):
        return "the command ended: nobody reads its output"
    return f"the command failed: {type(problem).__name__}"


def _show_active(invocation: Invocation, holding: Holding) -> None:
    client, output = invocation.client, invocation.output
    if output.as_json:
        return  # whose rows have been written when they became active
    for row in holding.leases.values():
        resource = client.row(f"drydock_resources/{row['resourceid']}", "such resource")
        output.show(
            views.lease_line(row),
            views.facts(
                [
                    ("  host", resource["host"] or resource["identity"]),
                    ("  address", resource["address"]),
                    ("  labels", pairs(resource["labels"])),
                    ("  ends", moment(row["until"])),
                ]
            ),
        )


def _end(
    invocation: Invocation,
    requests: Requests,
    holding: Holding | None,
    telling: _Telling,
    seconds: float,
    why: str,
    *,
    keep: bool,
) -> None:
    """Give back what was requested, or say what is left."""
    client = invocation.client
    client.start_afresh()
    try:
        requests.look_again()
    except CommandError as problem:
        telling.note(f"a lease may have been requested, and expires by itself: {problem}")
    rows = {**requests.taken, **(holding.leases if holding is not None else {})}
    if keep:
        living = [row for row in rows.values() if row["status"] in LIVING]
        for row in living:
            number = row["leaseid"]
            telling.note(
                f"lease {number} is kept until {moment(row['expires_at'])}; to end it: "
                f"drydock release-lease {number}; to keep it longer: drydock renew {number}"
            )
        return
    left = Holding(client, rows.values(), telling, lifetime=seconds, pause=invocation.pause)
    if holding is not None:
        left.follow(holding)
    left.release(why)


COMMANDS: Final = (lease,)
