"""``log``: what happened, of one thing or of all, and what happens."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import click

from buildbot_drydock.cli import views
from buildbot_drydock.cli.client import Client, Row, part
from buildbot_drydock.cli.exits import PASSING
from buildbot_drydock.cli.invocation import Invocation, verb
from buildbot_drydock.cli.times import seconds_of, time_of

LOOK_SECONDS: Final = 1.0
# Ids of events that were made at the same time may appear out of order.
OVERLAP: Final = 100
_PAGE: Final = 1_000


class Following:
    """The events after some that are known, each of them once."""

    def __init__(
        self, client: Client, path: str, filters: dict[str, Any], known: list[Row]
    ) -> None:
        self._client = client
        self._path = path
        self._filters = filters
        self._seen: deque[int] = deque((row["eventid"] for row in known), maxlen=10 * OVERLAP)
        self._last = max(self._seen, default=0)

    def new(self) -> Iterator[Row]:
        """Yield what is new. Raises ``CommandError``."""
        while True:
            rows = self._client.rows(
                self._path,
                eventid__gt=max(0, self._last - OVERLAP),
                order="eventid",
                limit=_PAGE,
                **self._filters,
            )
            for row in rows:
                if row["eventid"] not in self._seen:
                    self._seen.append(row["eventid"])
                    self._last = max(self._last, row["eventid"])
                    yield row
            if len(rows) < _PAGE:
                return


@verb("log")
@click.option("--lease", "-l", type=click.IntRange(1), metavar="ID", help="Of this lease.")
@click.option("--resource", "-R", type=click.IntRange(1), metavar="ID", help="Of this resource.")
@click.option("--blueprint", "-b", metavar="NAME", help="Of this blueprint.")
@click.option(
    "--kind", multiple=True, metavar="KIND", help="Only events of this kind, such as launch-failed."
)
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0, _PAGE),
    metavar="NUMBER",
    default=50,
    show_default=True,
    help="The last.",
)
@click.option(
    "--since", metavar="TIME", help="Only what is later: 2h for two hours ago, or a date."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
def log(
    invocation: Invocation,
    lease: int | None,
    resource: int | None,
    blueprint: str | None,
    kind: tuple[str, ...],
    lines: int,
    since: str | None,
    follow: bool,
) -> None:
    """Show what happened, oldest first. With --json, each event is a line."""
    client = invocation.client
    path = _path(client, lease, resource, blueprint)
    filters: dict[str, Any] = {"kind": list(kind)} if kind else {}
    known = client.rows(path, order="-eventid", limit=max(lines, 1), **filters)
    shown = known[:lines]
    if since is not None:
        earliest = _earliest(since, client.master_now())
        shown = [row for row in shown if row["at"] >= earliest]
    for row in reversed(shown):
        _show(invocation, row)
    if follow:
        _follow(invocation, Following(client, path, filters, known))


def _earliest(since: str, now: float) -> float:
    try:
        return now - seconds_of(since)
    except ValueError:
        pass
    try:
        return time_of(since, now)
    except ValueError as problem:
        raise click.BadParameter(str(problem), param_hint="--since") from None


def _path(client: Client, lease: int | None, resource: int | None, blueprint: str | None) -> str:
    chosen = [each for each in (lease, resource, blueprint) if each is not None]
    if len(chosen) > 1:
        raise click.UsageError("give one of --lease, --resource and --blueprint")
    if lease is not None:
        path, what = f"drydock_leases/{lease}", f"lease {lease}"
    elif resource is not None:
        path, what = f"drydock_resources/{resource}", f"resource {resource}"
    elif blueprint is not None:
        path, what = f"drydock_blueprints/{part(blueprint)}", f"blueprint {blueprint!r}"
    else:
        return "drydock_events"
    client.row(path, what)
    return f"{path}/drydock_events"


def _show(invocation: Invocation, row: Row) -> None:
    if invocation.output.as_json:
        invocation.output.json_line(row)
    else:
        invocation.output.show(views.event(row))


def _follow(invocation: Invocation, following: Following) -> None:
    lost = False
    while True:
        invocation.pause(LOOK_SECONDS)
        try:
            for row in following.new():
                _show(invocation, row)
        except PASSING as problem:
            if not lost:
                invocation.output.note(f"{problem.message}; trying again")
            lost = True
            continue
        if lost:
            invocation.output.note("the master answers again")
        lost = False


COMMANDS: Final = (log,)
