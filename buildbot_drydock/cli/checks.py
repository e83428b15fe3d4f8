"""What ``doctor`` looks at, one check after the other."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from buildbot_drydock.cli import problems
from buildbot_drydock.cli.client import Client
from buildbot_drydock.cli.exits import CommandError
from buildbot_drydock.cli.problems import Finding, Severity
from buildbot_drydock.cli.settings import Settings
from buildbot_drydock.cli.times import span

CLOCKS_AGREE_SECONDS: Final = 5.0  # which masters need among themselves
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def of_settings(settings: Settings) -> Iterator[Finding]:
    """Look at who could read the password: on this machine, and on the way."""
    parts = urlsplit(settings.master)
    secret = settings.user or settings.token is not None
    if secret and parts.scheme == "http" and parts.hostname not in _LOCAL:
        yield _problem(
            "settings",
            f"the password or token goes to {settings.master} unencrypted",
            "serve the master's page by HTTPS, and give that address",
        )
    if settings.password_file and settings.password_file != "-":
        path = Path(settings.password_file).expanduser()
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield _problem("settings", f"others may read {path}", f"chmod 600 {path}")


def of_master(client: Client) -> Iterator[Finding]:
    """See that there is a master with Drydock. Raises ``CommandError`` if there is none."""
    client.rows("drydock_blueprints", limit=0)
    yield _fine("master", f"{client.master} answers, and runs Drydock")


def of_clocks(client: Client) -> Iterator[Finding]:
    difference = client.clock_difference or 0.0
    if abs(difference) > CLOCKS_AGREE_SECONDS:
        ahead = "ahead of" if difference > 0 else "behind"
        yield _problem(
            "clocks",
            f"the master's clock is {span(abs(difference))} {ahead} this machine's",
            "run NTP on both; masters that share a database must agree within 5 s",
        )
    else:
        yield _fine("clocks", "the clocks of the master and of this machine agree")


def of_log_in(client: Client, settings: Settings) -> Iterator[Finding]:
    if not settings.user:
        return
    try:
        client.log_in()
    except CommandError as problem:
        yield _problem("log-in", problem.message, problem.remedy)
    else:
        yield _fine("log-in", f"{settings.user} is logged in")


def of_blueprints(client: Client) -> Iterator[Finding]:
    rows = client.rows("drydock_blueprints", limit=1_000)
    if not rows:
        yield _problem(
            "blueprints",
            "the master has no blueprint",
            "give Drydock(blueprints=[...]) one in master.cfg",
        )
    yield from _or_fine(
        problems.of_blueprints(rows, client.master_now()),
        "blueprints",
        f"{len(rows)} in service: " + ", ".join(row["name"] for row in rows),
        there=bool(rows),
    )


def of_hosts(client: Client) -> Iterator[Finding]:
    rows = client.rows("drydock_hosts", limit=1_000)
    yield from _or_fine(
        problems.of_hosts(rows), "hosts", "all that are listed are in service", there=bool(rows)
    )


def of_resources(client: Client) -> Iterator[Finding]:
    """See whether workers could be started on the hosts, and so reached the master from there."""
    rows = client.rows("drydock_resources", status="active", order="-resourceid", limit=1_000)
    used = any(row["uses"] for row in rows)
    yield from _or_fine(
        problems.of_resources(rows),
        "resources",
        "no lease failed on one of the hosts that are up",
        there=used,
    )


def of_waiting(client: Client) -> Iterator[Finding]:
    rows = client.rows("drydock_leases", status="pending", order="leaseid", limit=1_000)
    found = problems.of_waiting(rows, client.master_now())
    yield from _or_fine(found, "leases", f"{len(rows)} wait, none of them for long")


def _or_fine(
    found: Iterable[Finding], subject: str, message: str, *, there: bool = True
) -> Iterator[Finding]:
    findings = list(found)
    yield from findings
    if not findings and there:
        yield _fine(subject, message)


def over_rest(client: Client, settings: Settings) -> Iterator[Finding]:
    """Run all checks that ask the master. What it does not answer is a finding, too."""
    yield from _guarded("settings", lambda: of_settings(settings))
    try:
        yield from of_master(client)
    except CommandError as problem:
        yield _problem("master", problem.message, problem.remedy)
        return
    yield from of_clocks(client)
    yield from of_log_in(client, settings)
    for subject, check in (
        ("blueprints", of_blueprints),
        ("hosts", of_hosts),
        ("resources", of_resources),
        ("leases", of_waiting),
    ):
        yield from _guarded(subject, lambda check=check: check(client))  # type: ignore[misc]


def _guarded(subject: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except CommandError as problem:
        yield _problem(subject, problem.message, problem.remedy)


def _problem(subject: str, message: str, remedy: str) -> Finding:
    return Finding(subject=subject, severity=Severity.PROBLEM, message=message, remedy=remedy)


def _fine(subject: str, message: str) -> Finding:
    return Finding(subject=subject, severity=Severity.OK, message=message)
