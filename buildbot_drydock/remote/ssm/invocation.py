"""One command of Run Command on one instance: sent, looked at until it has ended, cancelled.

What the states mean is from "Understanding command statuses" in the Systems Manager user guide, and
from GetCommandInvocation in its API reference. A command that the agent has not taken up is not
reported as such before its delivery and execution time-outs are both over; so that is watched here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.interfaces import ReactorTime
from buildbot_drydock.remote.ssm.calls import CallRefused, Calls, Refusal
from buildbot_drydock.remote.ssm.delivery import ROOT

SENDING: Final = "sending a command"
DELIVERING: Final = "waiting until its agent takes up a command"
RUNNING: Final = "waiting until a command has ended"

# Least value of TimeoutSeconds (SendCommand): what is not begun by then is never begun.
DELIVERY_SECONDS: Final = 30
# What executionTimeout of AWS-RunShellScript may be: 48 hours. Its unit is seconds.
MOST_EXECUTION_SECONDS: Final = 172_800
SPARE_SECONDS: Final = 30.0  # for what is around a command, beyond its own limit
_UNKNOWN_PAUSE_SECONDS: Final = 1.0  # before a request of unknown outcome is repeated

_WAITING: Final = {"Pending", "Delayed"}
_GOING_ON: Final = {"InProgress", "Cancelling"}
_AGENT_REMEDY: Final = (
    "see whether it is up, its SSM agent runs, and its network leads to the endpoints of SSM"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long is waited between two looks at a command, in seconds: doubled up to the longest."""

    first: float = 0.2
    longest: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, as Systems Manager tells it."""

    status: str  # such as "Success" or "Execution Timed Out"
    stdout: str
    stderr: str


class Instance:
    """Runs shell text on one instance, as root. All waiting is by the clock."""

    log = Logger()

    def __init__(
        self, calls: Calls, number: str, *, clock: ReactorTime, pauses: Pauses | None = None
    ) -> None:
        """*number* is the id of the instance."""
        self.number = number
        self._calls = calls
        self._clock = clock
        self._pauses = pauses or Pauses()

    async def run(self, text: str, *, comment: str, seconds: float) -> Ended:
        """Run text to its end, at most *seconds*; it must be repeatable, as it may come twice.

        Cancelling the call cancels the command. Raises ``HostUnreachable`` for one whose end is
        not known. *comment* can be read by whoever may list commands.
        """
        command = await self._send(text, comment, seconds)
        try:
            return await self._wait_for(command, seconds)
        except (CancelledError, HostUnreachable):
            self._cancel(command)
            raise

    # --- sending ------------------------------------------------------------------------------

    async def _send(self, text: str, comment: str, seconds: float) -> str:
        limit = min(MOST_EXECUTION_SECONDS, math.ceil(seconds + SPARE_SECONDS))
        request = {
            "InstanceIds": [self.number],
            "DocumentName": "AWS-RunShellScript",
            "Comment": comment[:100],
            "TimeoutSeconds": DELIVERY_SECONDS,
            "Parameters": {
                "commands": text.split("\n"),
                "workingDirectory": [ROOT],
                "executionTimeout": [str(limit)],
            },
        }
        deadline = self._clock.seconds() + DELIVERY_SECONDS + SPARE_SECONDS
        reply = await self._insist("SendCommand", request, deadline)
        return str(reply["Command"]["CommandId"])

    async def _insist(
        self, operation: str, request: Mapping[str, Any], deadline: float
    ) -> Mapping[str, Any]:
        """Make a call again until it is known whether it was carried out, within limits."""
        while True:
            try:
                return await self._calling(operation, request)
            except CallRefused as refused:
                if refused.refusal in (Refusal.ABSENT, Refusal.LASTING):
                    raise self._refused(refused) from refused
                pause = max(refused.after, _UNKNOWN_PAUSE_SECONDS)
                if self._clock.seconds() + pause > deadline:
                    raise self._refused(refused) from refused
            await self._pause(pause)

    async def _calling(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a call. One that is given up is carried out all the same, and what it began ended.

        A call is in a thread, and can't be taken back.
        """
        waiting: Deferred[Mapping[str, Any]] = Deferred()

        def arrived(reply: Mapping[str, Any]) -> None:
            if not waiting.called:
                waiting.callback(reply)
            elif operation == "SendCommand":
                self._cancel(reply["Command"]["CommandId"])

        def failed(failure: Failure) -> None:
            if not waiting.called:
                waiting.errback(failure)

        made = Deferred.fromCoroutine(self._calls.call(operation, request))
        made.addCallbacks(arrived, failed)
        return await waiting

    # --- waiting ------------------------------------------------------------------------------

    async def _wait_for(self, command: str, seconds: float) -> Ended:
        begun = self._clock.seconds()
        pause = self._pauses.first
        taken_up: float | None = None
        while True:
            await self._pause(pause)
            pause = min(2 * pause, self._pauses.longest)
            try:
                seen = await self._calls.call(
                    "GetCommandInvocation", {"CommandId": command, "InstanceId": self.number}
                )
            except CallRefused as refused:
                if refused.refusal is Refusal.LASTING:
                    raise self._refused(refused) from refused
                pause = max(pause, refused.after)
                seen = {}
            now = self._clock.seconds()
            status = seen.get("Status", "Pending" if taken_up is None else "InProgress")
            if status not in _WAITING | _GOING_ON:
                return self._ended(seen)
            if status in _WAITING and now > begun + DELIVERY_SECONDS + self._pauses.longest:
                raise self._unreachable(DELIVERING, f"not for {now - begun:.0f} s", _AGENT_REMEDY)
            if status in _GOING_ON:
                taken_up = now if taken_up is None else taken_up
                if now > taken_up + seconds + SPARE_SECONDS:
                    reason = f"it did not end by itself {SPARE_SECONDS:g} s after its time was over"
                    raise self._unreachable(RUNNING, reason, _AGENT_REMEDY)

    def _ended(self, seen: Mapping[str, Any]) -> Ended:
        status = str(seen.get("StatusDetails") or seen["Status"])
        if status.replace(" ", "") in ("DeliveryTimedOut", "Undeliverable", "InvalidPlatform"):
            raise self._unreachable(DELIVERING, f"SSM says {status}", _AGENT_REMEDY)
        if status.replace(" ", "") in ("Cancelled", "Terminated", "ExecutionTimedOut", "TimedOut"):
            raise self._unreachable(
                RUNNING, f"SSM says {status}", "see who cancelled it, or whether the agent hangs"
            )
        return Ended(
            status=status,
            stdout=str(seen.get("StandardOutputContent") or ""),
            stderr=str(seen.get("StandardErrorContent") or ""),
        )

    async def _pause(self, seconds: float) -> None:
        await deferLater(self._clock, seconds)  # type: ignore[arg-type]

    # --- cancelling ---------------------------------------------------------------------------

    def _cancel(self, command: str) -> None:
        """Have a command ended, without waiting for that: it also ends by its own limit."""
        cancelling = Deferred.fromCoroutine(self._cancelled(command))
        cancelling.addErrback(
            lambda failure: self.log.failure("cancelling {c}", failure, c=command)
        )

    async def _cancelled(self, command: str) -> None:
        deadline = self._clock.seconds() + SPARE_SECONDS
        request = {"CommandId": command, "InstanceIds": [self.number]}
        try:
            await self._insist("CancelCommand", request, deadline)
        except HostUnreachable as error:
            self.log.debug("{command} was not cancelled: {error}", command=command, error=error)

    # --- failures -----------------------------------------------------------------------------

    def _refused(self, refused: CallRefused) -> HostUnreachable:
        if refused.refusal is Refusal.ABSENT:
            return self._unreachable(
                SENDING,
                f"SSM does not know it ({refused})",
                _AGENT_REMEDY + "; docs/ec2.md says more",
            )
        # Whatever is wrong with the master's credentials, the instance may be well: not lasting.
        text = f"{self.number}: {SENDING}: {refused}"
        return HostUnreachable(text, phase=SENDING, reason=str(refused))

    def _unreachable(self, phase: str, reason: str, remedy: str) -> HostUnreachable:
        return HostUnreachable(
            f"{self.number}: {phase}: {reason}; {remedy}",
            phase=phase,
            reason=reason,
            remedy=remedy,
        )
