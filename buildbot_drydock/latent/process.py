"""The ``buildbot-worker`` process of a lease: what is written, started and stopped on its host.

Knows hosts and worker processes, and nothing of a master's worker objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from buildbot_drydock.errors import HostError
from buildbot_drydock.interfaces import Host
from buildbot_drydock.latent import standby

# A process that cannot log in waits longer after each attempt, up to a minute, and ends itself
# after this many in a row: about ten minutes. It is what is left of an orphan that nobody stops.
MOST_ATTEMPTS: Final = 38
# The process notices in this time that its master's machine has gone silent.
KEEPALIVE_SECONDS: Final = 60
TACTICS_FILE: Final = "buildbot.tac"
LOG: Final = "twistd.log"
LAST_LINES: Final = 10

_TACTICS = """\
# Written by Drydock for lease {lease}. It is replaced when the next lease begins.
import os
from contextlib import suppress

from buildbot_worker.bot import Worker
from twisted.application import service

directory = os.path.dirname(os.path.abspath(__file__))
with suppress(OSError):  # what people read about the worker is not worth a failed start
    os.makedirs(os.path.join(directory, "info"), exist_ok=True)
    with open(os.path.join(directory, "info", "admin"), "x") as admin:
        admin.write({admin!r})

application = service.Application("buildbot-worker")
Worker(
    {address!r},
    {port!r},
    {name!r},
    {password!r},
    directory,
    {keepalive!r},
    maxRetries={attempts!r},
).setServiceParent(application)
"""
_RUN = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a worker process logs in to its master."""

    name: str
    password: str
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    """The process of one lease. Failures of the host are raised as ``HostError``."""

    host: Host
    tag: str  # marks the process, so that it is found again
    directory: str  # holds its configuration, its log and its build directories
    python: str  # an interpreter that has buildbot_worker

    async def start(self, login: Login, *, lease: int) -> None:
        """Write the configuration and start the process, if it does not run yet.

        A password must not be where others see it, as arguments and, with some hosts, variables of
        a process are. So it travels in a file, which others may not read.
        """
        await self.host.start(
            command(self.python),
            tag=self.tag,
            cwd=self.directory,
            log=LOG,
            file=(f"{self.directory}/{TACTICS_FILE}", tactics(login, lease=lease)),
        )

    async def running(self) -> bool:
        return await self.host.running(self.tag)

    async def stop(self) -> None:
        await self.host.stop(self.tag)

    async def last_words(self) -> str:
        """Return the end of its log, or why that cannot be read."""
        try:
            log = await self.host.read(f"{self.directory}/{LOG}")
        except HostError as error:
            return f"its log could not be read: {error}"
        lines = log.decode(errors="replace").splitlines()[-LAST_LINES:]
        return "its log ends with:\n" + "\n".join(lines) if lines else "its log is empty"


_OPTIONS: Final = (
    *("--nodaemon", "--no_save", "--pidfile="),
    *(f"--python={TACTICS_FILE}", "--logfile=-"),
)
_STANDBY: Final = Path(standby.__file__).read_text("utf-8")
# What the process would import once it has begun.
_IMPORTED: Final = ("buildbot_worker.bot", "twisted.scripts.twistd", "twisted.internet.reactor")


def command(python: str) -> list[str]:
    """Return what is started for any lease."""
    return [python, "-c", _RUN, *_OPTIONS]


def standby_command(python: str) -> list[str]:
    """Return what can be started before there is a lease, to take the place of ``command``."""
    return [python, "-c", _STANDBY, *_IMPORTED, "--", *_OPTIONS]


def tactics(login: Login, *, lease: int) -> bytes:
    """Return the content of ``TACTICS_FILE``. It holds the password of this one lease."""
    return _TACTICS.format(
        lease=lease,
        address=login.address,
        port=login.port,
        name=login.name,
        password=login.password,
        admin="Buildbot Drydock\n",
        keepalive=KEEPALIVE_SECONDS,
        attempts=MOST_ATTEMPTS,
    ).encode()
