"""``status``: all on one screen, problems first; live with ``--watch``."""

from __future__ import annotations

from typing import Final

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from buildbot_drydock.cli import problems, views
from buildbot_drydock.cli.client import Client, Row
from buildbot_drydock.cli.exits import PASSING
from buildbot_drydock.cli.invocation import Invocation, verb
from buildbot_drydock.cli.output import sentence, table, text
from buildbot_drydock.cli.problems import Finding, Severity
from buildbot_drydock.cli.times import duration_option, span

_WAITING_SHOWN: Final = 10
_MOST_WAITING: Final = 1_000
_PROBLEMS_SHOWN: Final = 15
_STYLES: Final = {Severity.PROBLEM: "bold red", Severity.NOTICE: "magenta", Severity.OK: "green"}


@verb("status")
@click.option("--watch", "-w", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--interval",
    callback=duration_option,
    default="2s",
    metavar="DURATION",
    show_default=True,
    help="Between two looks.",
)
def status(invocation: Invocation, watch: bool, interval: float) -> None:
    """Show what is wrong, what there is, and what waits for how long and why."""
    if not watch:
        read = _read(invocation.client)
        if invocation.output.as_json:
            invocation.output.json(read)
        else:
            invocation.output.show(*_screen(read, invocation.client.master_now()))
    elif invocation.output.is_terminal and not invocation.output.as_json:
        _live(invocation, interval)
    else:
        _again_and_again(invocation, interval)


def _read(client: Client) -> dict[str, list[Row]]:
    return {
        "blueprints": client.rows("drydock_blueprints", limit=1_000),
        "hosts": client.rows("drydock_hosts", in_service="false", listed="true", limit=1_000),
        "waiting": client.rows(
            "drydock_leases", status="pending", order="leaseid", limit=_MOST_WAITING
        ),
    }


def _screen(read: dict[str, list[Row]], now: float) -> list[RenderableType]:
    findings = problems.worst_first(
        [
            *problems.of_blueprints(read["blueprints"], now),
            *problems.of_hosts(read["hosts"]),
            *problems.of_waiting(read["waiting"], now),
        ]
    )
    parts = [finding(each) for each in findings[:_PROBLEMS_SHOWN]]
    if len(findings) > _PROBLEMS_SHOWN:
        parts.append(text(f"and {len(findings) - _PROBLEMS_SHOWN} more: drydock doctor"))
    if parts:
        parts.append(Text())
    if read["blueprints"]:
        parts.append(views.blueprints(read["blueprints"]))
    else:
        parts.append(text("there are no blueprints"))
    return [*parts, Text(), *_queue(read["waiting"], now)]


def finding(each: Finding) -> RenderableType:
    """Return a finding as a line, and its remedy below it."""
    line = Text()
    line.append_text(text(f"{each.subject}: ", _STYLES[each.severity]))
    line.append_text(text(each.message.replace("\n", "\n    ")))
    if each.remedy:
        line.append_text(text(f"\n    Remedy: {each.remedy}", "dim"))
    return line


def _queue(rows: list[Row], now: float) -> list[RenderableType]:
    if not rows:
        return [text("nothing waits")]
    oldest = span(now - min(row["requested_at"] for row in rows))
    number = f"{len(rows)}" + (" or more" if len(rows) == _MOST_WAITING else "")
    waits = "lease waits" if number == "1" else "leases wait"
    parts: list[RenderableType] = [text(f"{number} {waits}, for up to {oldest}")]
    shown = sorted(rows, key=lambda row: row["requested_at"])[:_WAITING_SHOWN]
    parts.append(
        table(
            ("LEASE", "FOR", "BUILD", "WAITED", "WHY"),
            (
                (
                    row["leaseid"],
                    views.holder(row),
                    views.build(row),
                    span(now - row["requested_at"]),
                    views.why(row),
                )
                for row in shown
            ),
        )
    )
    if len(rows) > len(shown):
        parts.append(text(f"and {len(rows) - len(shown)} more: drydock leases --status pending"))
    return parts


# --- again and again -------------------------------------------------------------------------


def _live(invocation: Invocation, interval: float) -> None:
    client = invocation.client
    read = _read(client)
    with Live(
        Group(*_screen(read, client.master_now())),
        console=invocation.output.console,
        screen=True,
        auto_refresh=False,
    ) as live:
        while True:
            invocation.pause(interval)
            lost: list[RenderableType] = []
            try:
                read = _read(client)
            except PASSING as problem:
                lost = [sentence(problem.message, style="bold red"), Text()]
            live.update(Group(*lost, *_screen(read, client.master_now())), refresh=True)


def _again_and_again(invocation: Invocation, interval: float) -> None:
    """Write each look below the other, for whatever is no terminal."""
    output, client = invocation.output, invocation.client
    read = _read(client)
    while True:
        if output.as_json:
            output.json_line(read)
        else:
            output.show(*_screen(read, client.master_now()), Text())
        read = _next(invocation, interval)


def _next(invocation: Invocation, interval: float) -> dict[str, list[Row]]:
    """Return what is there at the next look at which the master answers."""
    lost = False
    while True:
        invocation.pause(interval)
        try:
            return _read(invocation.client)
        except PASSING as problem:
            if not lost:
                invocation.output.note(f"{problem.message}; trying again")
            lost = True


COMMANDS: Final = (status,)
