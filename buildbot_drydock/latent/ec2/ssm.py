"""Instances that are reached over Systems Manager: who answers there, and the way to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from buildbot_drydock.latent.ec2.account import Account
from buildbot_drydock.latent.ec2.causes import CallFailed, Cause
from buildbot_drydock.remote.ssm.calls import CallRefused, Refusal

T = TypeVar("T")

_REFUSALS: Final = {
    Cause.THROTTLED: Refusal.THROTTLED,
    Cause.ABSENT: Refusal.ABSENT,
    Cause.UNWELL: Refusal.UNKNOWN,
}


class SSMCalls:
    """Calls of Systems Manager, with the credentials and the pace of an account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return await self._account.call(operation, request, service="ssm")
        except CallFailed as failed:
            raise _refused(failed) from failed

    async def pages(self, operation: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Make a call for each page of a listing; return them all."""
        try:
            return await self._account.pages(operation, request, service="ssm")
        except CallFailed as failed:
            raise _refused(failed) from failed

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self._account.in_thread(function, *arguments)


def _refused(failed: CallFailed) -> CallRefused:
    refusal = _REFUSALS.get(failed.cause, Refusal.LASTING)
    return CallRefused(refusal, str(failed), after=getattr(failed.error, "after", 0.0))
