"""``doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from buildbot_drydock.cli import checks, local_checks
from buildbot_drydock.cli.commands.status import finding
from buildbot_drydock.cli.exits import ProblemsFound
from buildbot_drydock.cli.invocation import Invocation, verb
from buildbot_drydock.cli.problems import Finding, Severity


@verb("doctor")
@click.option(
    "--basedir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Check the configuration and the database of the master in this directory, too; on its "
    "machine, as its user.",
)
@click.option("--offline", is_flag=True, help="Check what is in --basedir alone.")
def doctor(invocation: Invocation, basedir: Path | None, offline: bool) -> None:
    """Check what can be checked from here, and say the remedy for each problem.

    It ends with 1 if there is a problem. What somebody took out of service is none.
    """
    if offline and basedir is None:
        raise click.UsageError("--offline takes --basedir")
    findings: list[Finding] = []
    if basedir is not None:
        for each in local_checks.of_basedir(basedir):
            _tell(invocation, findings, each)
    if not offline:
        for each in checks.over_rest(invocation.client, invocation.settings):
            _tell(invocation, findings, each)
    wrong = [each for each in findings if each.severity is Severity.PROBLEM]
    if invocation.output.as_json:
        invocation.output.json([each.data() for each in findings])
    if wrong:
        number = "1 problem" if len(wrong) == 1 else f"{len(wrong)} problems"
        invocation.output.note(number)
        raise ProblemsFound(number)


def _tell(invocation: Invocation, findings: list[Finding], each: Finding) -> None:
    findings.append(each)
    if not invocation.output.as_json:
        invocation.output.show(finding(each))


COMMANDS: Final = (doctor,)
