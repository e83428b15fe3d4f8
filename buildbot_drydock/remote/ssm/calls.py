"""What is needed of AWS here: calls of Systems Manager, made elsewhere, and how they can fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Refusal(Enum):
    """Why a call failed, as far as it matters here."""

    THROTTLED = "throttled"  # nothing was done; try again after a while
    ABSENT = "absent"  # the instance, or the invocation, is not known, or not yet
    UNKNOWN = "unknown"  # it is not known whether anything was done
    LASTING = "lasting"  # nothing was done, and won't be until somebody changes something


class CallRefused(Exception):
    """A call failed. ``after`` is the least number of seconds to wait before another one."""

    def __init__(self, refusal: Refusal, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.refusal, self.after = refusal, after


class Calls(Protocol):
    """Makes calls, and does what takes a while, in threads."""

    async def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make one call of Systems Manager, such as ``SendCommand``. Raises ``CallRefused``."""
        ...

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function that computes for a while."""
        ...
