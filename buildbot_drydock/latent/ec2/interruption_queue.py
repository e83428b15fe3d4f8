"""The queue that EventBridge sends EC2's warnings to, read in a thread of its own.

Several pools, and all masters of each, may share a queue. A warning is deleted by the pool whose
instance it is about; another one leaves it, and then reads nothing for some seconds, so that it
comes to others. What is older than a warning can be, or none at all, is deleted by whoever reads it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from twisted.logger import Logger

from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent.ec2.causes import CallFailed
from buildbot_drydock.latent.ec2.interruptions import Notice, of_message

WAIT_SECONDS: Final = 20  # for a message, the most that SQS takes
HIDDEN_SECONDS: Final = 2  # for which a message that was read is kept from others
ASIDE_SECONDS: Final = 4.0  # for which one that has left a message reads nothing
OLD_SECONDS: Final = 300.0
_FIRST_PAUSE_SECONDS: Final = 5.0  # after a failure, doubled to the last
_LONGEST_PAUSE_SECONDS: Final = 300.0
_MOST_DOUBLINGS: Final = 10
_MOST_MESSAGES: Final = 10  # that SQS gives at once


class BlockingCalls(Protocol):
    """The part of an ``Account`` that is needed here."""

    def call_in_thread(
        self, operation: str, request: Mapping[str, Any], *, service: str
    ) -> dict[str, Any]: ...


class InterruptionQueue:
    """Reads one queue until it is stopped."""

    log = Logger()

    def __init__(
        self,
        calls: BlockingCalls,
        url: str,
        *,
        name: str,
        is_ours: Callable[[str], bool],
        hear: Callable[[Notice], None],
        call_in_reactor: Callable[..., Any],
        clock: Clock,
    ) -> None:
        """*is_ours* tells in the thread whether an instance's id is of this pool.

        *hear* is called with what is, in the reactor, by way of *call_in_reactor*.
        """
        self._calls = calls
        self._url = url
        self._is_ours = is_ours
        self._hear = hear
        self._call_in_reactor = call_in_reactor
        self._clock = clock
        self._stopped = threading.Event()
        # Nothing waits for its end: a call may take as long as SQS waits for a message.
        self._thread = threading.Thread(
            target=self._read, name=f"drydock-interruptions-{name}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Read no more. A call that is under way ends later, and nothing is made of it."""
        self._stopped.set()

    # --- in the thread -----------------------------------------------------------------------

    def _read(self) -> None:
        pause, failures, told = 0.0, 0, ""
        while not self._stopped.wait(pause):
            try:
                pause = ASIDE_SECONDS if self._read_once() else 0.0
                failures, told = 0, ""
                continue
            except CallFailed as failed:
                if not self._stopped.is_set() and str(failed) != told:
                    told = str(failed)
                    self.log.error(
                        "warnings of interruptions are not heard from {url}, only asked for: {told}",
                        url=self._url,
                        told=told,
                    )
            except Exception:  # noqa: BLE001 - a bug must not end the reading
                self.log.failure("reading {url}", url=self._url)
            pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0**failures)
            failures = min(failures + 1, _MOST_DOUBLINGS)

    def _read_once(self) -> bool:
        """Read what there is; tell whether any of it was left."""
        reply = self._calls.call_in_thread(
            "ReceiveMessage",
            {
                "QueueUrl": self._url,
                "MaxNumberOfMessages": _MOST_MESSAGES,
                "WaitTimeSeconds": WAIT_SECONDS,
                "VisibilityTimeout": HIDDEN_SECONDS,
            },
            service="sqs",
        )
        messages = [] if self._stopped.is_set() else reply.get("Messages", ())
        return not all([self._take(each) for each in messages])

    def _take(self, message: Mapping[str, Any]) -> bool:
        """Do with a message what is to be done; tell whether it was deleted."""
        notice = of_message(message.get("Body") or "")
        if notice is not None and self._is_ours(notice.instance):
            self._call_in_reactor(self._tell, notice)
        elif notice is not None and self._clock.seconds() < notice.at + OLD_SECONDS:
            return False
        self._calls.call_in_thread(
            "DeleteMessage",
            {"QueueUrl": self._url, "ReceiptHandle": message["ReceiptHandle"]},
            service="sqs",
        )
        return True

    # --- in the reactor ----------------------------------------------------------------------

    def _tell(self, notice: Notice) -> None:
        if not self._stopped.is_set():
            self._hear(notice)
