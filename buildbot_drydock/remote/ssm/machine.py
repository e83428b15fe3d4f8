"""The way to one instance over Systems Manager, for a ``ShellHost``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final
from uuid import UUID

from twisted.internet.defer import Deferred, DeferredSemaphore

from buildbot_drydock.errors import HostError, HostUnreachable
from buildbot_drydock.interfaces import Completed
from buildbot_drydock.remote.shell.exchange import (
    Answer,
    Request,
    answered,
    idle_limit,
    time_limit,
    timed_out,
)
from buildbot_drydock.remote.shell.failures import remedy_for, said_text
from buildbot_drydock.remote.ssm import delivery
from buildbot_drydock.remote.ssm.calls import Calls
from buildbot_drydock.remote.ssm.delivery import Limits, Outcome
from buildbot_drydock.remote.ssm.invocation import SPARE_SECONDS, Ended, Instance
from buildbot_drydock.remote.ssm.sealing import Seal, WrongKey

OPENING: Final = "starting a shell"
UNSEALING: Final = "decrypting"

# An agent works on five commands at once (Mds.CommandWorkersLimit in the README of
# amazon-ssm-agent). One is left for others.
MOST_AT_ONCE: Final = 4
_DELIVERIES_BETWEEN: Final = 50  # two that remove what is old
_SIGNAL: Final = 128  # what a shell adds to the number of a signal
_MOST_SIGNALS: Final = 64

_KEY_REMEDY: Final = (
    "see whether cloud-init is still at work, or has failed there (/var/log/cloud-init-output.log)"
)
_TOOLS_REMEDY: Final = "give the image openssl, gzip, coreutils and util-linux"


class SSMMachine:
    """Runs scripts on one instance as a user. A command that ends with 129 or more counts as ended
    by a signal, which a shell can't tell apart."""

    def __init__(
        self,
        calls: Calls,
        instance: Instance,
        seal: Seal,
        user: str,
        *,
        lost: Callable[[HostError], object] = lambda error: None,
    ) -> None:
        """*lost* is called when the instance turns out not to answer."""
        self._calls = calls
        self._instance = instance
        self._seal = seal
        self._user = user
        self._lost = lost
        self._deliveries = 0
        self._turns = DeferredSemaphore(MOST_AT_ONCE)

    @property
    def shown(self) -> str:
        return f"{self._user}@{self._instance.number}"

    def exchange(self, request: Request) -> Deferred[Answer]:
        """Run a script there. Raises ``CommandTimedOut`` and ``HostUnreachable``."""
        return Deferred.fromCoroutine(self._exchange(request))

    def did_not_run(self, exit_code: int, said: bytes) -> HostUnreachable:
        text = said_text(said)
        remedy = remedy_for(text) or (
            f"see whether there is an account {self._user} on it, and what "
            f"'su - {self._user} -c true' says there"
        )
        if exit_code == delivery.WRONG_KEY:
            return self._unreachable(UNSEALING, text, _KEY_REMEDY)
        return self._unreachable(OPENING, f"it ended with {exit_code}, saying: {text}", remedy)

    async def _exchange(self, request: Request) -> Answer:
        await self._turns.acquire()
        try:
            ended = await self._run(request)
        except HostUnreachable as error:
            self._lost(error)
            raise
        finally:
            self._turns.release()
        code = ended.exit_code
        if _SIGNAL < code <= _SIGNAL + _MOST_SIGNALS:
            code = _SIGNAL - code
        answer = answered(Completed(exit_code=code, stdout=ended.stdout, stderr=ended.stderr))
        written = answer.completed.stderr + answer.completed.stdout
        if ended.limit == "timeout":
            raise timed_out(request, self.shown, time_limit(request), written)
        if ended.limit == "idle_timeout":
            raise timed_out(request, self.shown, idle_limit(request), written)
        return answer

    async def _run(self, request: Request) -> Outcome:
        """Deliver a script in parts, have it run, and fetch how it ended, in pieces as well."""
        number = UUID(bytes=self._seal.random_bytes(16)).hex
        content = delivery.payload(request.script, request.content)
        parts = delivery.parts(await self._calls.in_thread(self._closed, content))
        for position, part in enumerate(parts[:-1]):
            await self._stored(delivery.store(number, position, part), position)
        limits = Limits(timeout=request.timeout, idle_timeout=request.idle_timeout)
        prunes = self._deliveries % _DELIVERIES_BETWEEN == 0
        self._deliveries += 1
        text = delivery.run(number, parts[-1], self._user, limits, prunes=prunes)
        found, whole = await self._printed(text, request.timeout)
        while len(found) < whole:
            piece, _ = await self._printed(delivery.more(number, len(found)), SPARE_SECONDS)
            if not piece:
                raise self._unreachable(UNSEALING, "a piece of the output is missing", "")
            found += piece
        try:
            return delivery.outcome(await self._calls.in_thread(self._opened, found))
        except (WrongKey, ValueError, binascii.Error) as error:
            raise self._unreachable(UNSEALING, str(error), _KEY_REMEDY) from error

    def _closed(self, content: bytes) -> str:
        return base64.b64encode(self._seal.close(content)).decode()

    def _opened(self, found: str) -> bytes:
        return self._seal.open(base64.b64decode(found))

    async def _stored(self, text: str, position: int) -> None:
        ended = await self._instance.run(
            text, comment="Buildbot Drydock: a part of a command", seconds=SPARE_SECONDS
        )
        if "drydock-stored" not in ended.stdout:
            raise self._no_outcome(ended)

    async def _printed(self, text: str, seconds: float) -> tuple[str, int]:
        ended = await self._instance.run(text, comment="Buildbot Drydock", seconds=seconds)
        printed = delivery.printed(ended.stdout)
        if printed is None:
            raise self._no_outcome(ended)
        whole, found = printed
        return found, whole

    def _no_outcome(self, ended: Ended) -> HostError:
        """Translate what our own text said instead of an outcome."""
        if "drydock-no-key" in ended.stdout:
            reason = f"the key of its instance is not in /{delivery.PLACE}"
            return self._unreachable(UNSEALING, reason, _KEY_REMEDY)
        if "drydock-no-tools" in ended.stdout:
            return self._unreachable(
                OPENING, "there is no openssl, gzip, base64 or setsid", _TOOLS_REMEDY
            )
        said = said_text((ended.stderr or ended.stdout).encode())
        remedy = remedy_for(said) or "see the log of its SSM agent"
        return self._unreachable(OPENING, f"{ended.status}, saying: {said}", remedy)

    def _unreachable(self, phase: str, reason: str, remedy: str) -> HostUnreachable:
        more = f"; {remedy}" if remedy else ""
        return HostUnreachable(
            f"{self.shown}: {phase}: {reason}{more}", phase=phase, reason=reason, remedy=remedy
        )
