"""``drydock`` as a whole: its options, its commands, and how it ends.

A group of commands is a module with ``COMMANDS``; the modules are listed here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from types import ModuleType
from typing import Any, Final

import click

from buildbot_drydock.cli.commands import (
    authorize,
    doctor,
    edit,
    explaining,
    giving_back,
    lease,
    listings,
    log,
    maintenance,
    status,
)
from buildbot_drydock.cli.exits import CommandError, Exit, ProblemsFound
from buildbot_drydock.cli.interruption import Interrupted
from buildbot_drydock.cli.invocation import Invocation, choose_json
from buildbot_drydock.cli.output import OutputGone

NAME: Final = "drydock"
GROUPS: Final[Sequence[ModuleType]] = (
    *(status, explaining, doctor),
    *(lease, giving_back),
    *(listings, log, maintenance),
    *(edit, authorize),
)


class _InOrder(click.Group):
    """Lists commands as they were added: those first that are needed first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"drydock {metadata.version('buildbot-drydock')}")
        ctx.exit()


@click.group(NAME, cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--master",
    metavar="URL|NAME",
    help="The master's web page, or the name that the settings file has for it.  "
    "[default: http://localhost:8010/]",
)
@click.option("--user", metavar="NAME", help="Whom to log in as, if that is needed.")
@click.option(
    "--password-file", metavar="FILE", help="What holds the password; - is the standard input."
)
@click.option(
    "--token-file", metavar="FILE", help="What holds a token for a proxy in front of the master."
)
@click.option("--ca-file", metavar="FILE", help="Certificates to trust, not the system's.")
@click.option(
    "--config", metavar="FILE", help="The settings file.  [default: ~/.config/drydock.toml]"
)
@click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=choose_json,
    is_eager=True,
    help="Write the rows of the master's API, as JSON.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, callback=_version, help="Show the version."
)
@click.pass_obj
def drydock(invocation: Invocation, /, **options: str | None) -> None:
    """Lease build hosts from a Buildbot master, and look after them.

    Each option can be an environment variable, too, such as DRYDOCK_MASTER.
    """
    invocation.options.update(options)


for _group in GROUPS:
    for _command in _group.COMMANDS:
        drydock.add_command(_command)


def run(arguments: Sequence[str], invocation: Invocation | None = None) -> int:
    """Carry a command out, and return how it ended."""
    invocation = Invocation() if invocation is None else invocation
    invocation.interruptions.install()
    try:
        return _carried_out(arguments, invocation)
    except Interrupted as interrupted:
        return int(interrupted.exit)
    except OutputGone:
        # What Python writes at its end would fail again.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.PIPE_CLOSED)


def _carried_out(arguments: Sequence[str], invocation: Invocation) -> int:
    try:
        ended: Any = drydock.main(
            args=list(arguments), prog_name=NAME, standalone_mode=False, obj=invocation
        )
    except click.Abort:
        return int(Exit.INTERRUPTED)
    except click.ClickException as problem:
        problem.show()
        return int(Exit.USAGE)
    except ProblemsFound as problem:
        return int(problem.exit)
    except CommandError as problem:
        invocation.output.complain(problem)
        return int(problem.exit)
    return ended if isinstance(ended, int) else int(Exit.OK)
