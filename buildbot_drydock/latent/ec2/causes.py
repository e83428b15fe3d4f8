"""That a call to AWS failed, and why, as far as it matters here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from buildbot_drydock.errors import DrydockError


class Cause(Enum):
    """Why a call failed, as far as it matters here."""

    THROTTLED = "throttled"  # nothing was done; all calls have to wait
    CAPACITY = "capacity"  # nothing was done; there is none of this candidate
    QUOTA = "quota"  # nothing was done; the account may have no more of them
    MISMATCH = "mismatch"  # the client token was used before, with other parameters
    ENDED = "ended"  # what was launched for the client token has been terminated
    ABSENT = "absent"  # there is no such instance, or not yet
    CREDENTIALS = "credentials"  # nothing was done; they are missing, wrong or expired
    WRONG = "wrong"  # nothing was done, and never will be as it is
    UNWELL = "unwell"  # it is not known whether anything was done


class CallFailed(Exception):
    """A call to AWS failed. ``error`` is what that means, ``cause`` why, ``code`` what AWS says."""

    def __init__(self, cause: Cause, error: DrydockError, *, code: str = "") -> None:
        super().__init__(str(error))
        self.cause, self.error, self.code = cause, error, code

    @property
    def is_unknown(self) -> bool:
        """Whether the call may have done its work all the same."""
        return self.cause is Cause.UNWELL


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Which call failed, for the sentence."""

    operation: str  # such as "RunInstances"
    region: str
    service: str = "ec2"
    about: str = ""  # such as "m7i.large in subnet-1 (spot)"

    def __str__(self) -> str:
        about = f" for {self.about}" if self.about else ""
        return f"{self.operation}{about} in {self.region}"
