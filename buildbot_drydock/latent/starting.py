"""How the start of a worker fails, and what becomes of the build that it was for."""

from __future__ import annotations

from collections.abc import Sequence

from buildbot.interfaces import LatentWorkerCannotSubstantiate, LatentWorkerFailedToSubstantiate

from buildbot_drydock.latent.attempts import Attempts
from buildbot_drydock.reasons import (
    AwaitingApproval,
    Booting,
    Full,
    NotAuthorized,
    OutOfService,
    OverBudget,
    QuotaReached,
    Reason,
    Reclaiming,
)

# What a lease may wait for without anything having failed.
_PATIENCE = (
    *(Full, OverBudget, Booting, Reclaiming, OutOfService),
    *(NotAuthorized, AwaitingApproval, QuotaReached),
)


class StartFailed(Exception):
    """The worker could not be started. The message says why; the build is tried again."""


class WaitedInVain(StartFailed):
    """No slot came free in time. Nothing has failed, so it does not count as an attempt."""


class Hopeless(StartFailed):
    """No other attempt would fare better."""


def waited_in_vain(error: str, reasons: Sequence[Reason], now: float) -> StartFailed:
    """Say why a lease was not given in time; it counts as a failure only if something failed."""
    text = "; ".join([error, *(reason.sentence(now) for reason in reasons)])
    patient = all(isinstance(reason, _PATIENCE) for reason in reasons)
    return WaitedInVain(text) if patient else StartFailed(text)


def verdict(
    error: BaseException, attempts: Attempts, requests: Sequence[int], *, most: int
) -> Exception:
    """Return what tells Buildbot to try a build again, or to give it up after *most* failures."""
    text = str(error) or type(error).__name__
    if isinstance(error, WaitedInVain):
        return _again(text)
    if isinstance(error, Hopeless):
        return _never(text)
    number = attempts.fail(requests, text)
    if number < most:
        return _again(text)
    reasons = dict.fromkeys(r for request in requests for r in attempts.reasons(request))
    attempts.forget(requests)
    return _never(f"a worker could not be started in {number} attempts: " + "; ".join(reasons))


def _again(text: str) -> Exception:
    failed: Exception = LatentWorkerFailedToSubstantiate(text)
    return failed


def _never(text: str) -> Exception:
    failed: Exception = LatentWorkerCannotSubstantiate(text)
    return failed
