"""What every command has at hand: the master, the output, a clock, and signals.

Commands are declared by ``verb``, which gives each of them ``--json``.
"""

from __future__ import annotations

import functools
import secrets
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeVar

import click
import httpx

from buildbot_drydock.cli.client import Client
from buildbot_drydock.cli.interruption import Interruptions
from buildbot_drydock.cli.output import Output
from buildbot_drydock.cli.settings import Settings, read_settings

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def _now() -> float:
    """Tell the time, in seconds since the epoch."""
    return datetime.now(tz=timezone.utc).timestamp()


def _pause(seconds: float) -> None:
    """Let seconds pass, or less if a signal ends it."""
    threading.Event().wait(seconds)


def _new_mark() -> str:
    return secrets.token_hex(8)


def _ask_password(user: str) -> str:
    return str(click.prompt(f"Password of {user}", hide_input=True, err=True))


@dataclass
class Invocation:
    """One call of ``drydock``. *transport* stands in for the network, in tests."""

    options: dict[str, str | None] = field(default_factory=dict)
    output: Output = field(default_factory=Output)
    interruptions: Interruptions = field(default_factory=Interruptions)
    now: Callable[[], float] = _now
    pause: Callable[[float], None] = _pause
    new_mark: Callable[[], str] = _new_mark
    transport: httpx.BaseTransport | None = None

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings. Raises ``WrongSettings``."""
        can_ask = sys.stdin.isatty()
        return read_settings(self.options, ask_password=_ask_password if can_ask else None)

    @functools.cached_property
    def client(self) -> Client:
        return Client(self.settings, now=self.now, transport=self.transport)


def choose_json(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Invocation).output.as_json = True


def verb(name: str) -> Callable[[CommandT], click.Command]:
    """Make a function a command: its first argument is the ``Invocation``."""

    def decorate(function: CommandT) -> click.Command:
        given: Callable[..., Any] = click.pass_obj(function)
        given = click.option(
            "--json",
            is_flag=True,
            expose_value=False,
            callback=choose_json,
            help="Write the rows of the master's API, as JSON.",
        )(given)
        return click.command(name)(given)

    return decorate
