"""What a cluster says as a call fails, as errors of ours that say what to do. Pure."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from buildbot_drydock.errors import DrydockError, Misconfigured, NoCapacity, RetryLater
from buildbot_drydock.remote.kubernetes.failures import remedy_of_access


class Cause(Enum):
    """Why a call failed, as far as it matters what is done next."""

    UNREACHABLE = "unreachable"  # no answer: it may have been done, or not
    BARRED = "barred"  # we may not do that, until somebody changes something
    TAKEN = "taken"  # there is an object of that name
    ABSENT = "absent"  # there is no such object
    EXPIRED = "expired"  # the changes since then are not known any more
    FULL = "full"  # there is no room for it now
    WRONG = "wrong"  # no such pod can be made until somebody changes something
    UNWELL = "unwell"  # whatever else


class CallFailed(Exception):
    """A call failed. ``error`` is what the loop is told if nothing better can be done."""

    def __init__(self, cause: Cause, error: DrydockError, *, is_refusal: bool = False) -> None:
        """*is_refusal* says that whoever asked is known, and has no right to that."""
        super().__init__(str(error))
        self.cause = cause
        self.error = error
        self.is_refusal = is_refusal


_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_ABSENT: Final = 404
_CONFLICT: Final = 409
_EXPIRED: Final = 410
_INVALID: Final = 422
_TOO_MANY: Final = 429
_LIMITED_SECONDS: Final = 5.0

# What is said of pods that are not let in, and what a person can do about it.
_FULL: Final = ((r"exceeded quota", "see its ResourceQuota, or wait until other pods have ended"),)
_LATER: Final = re.compile(
    r"because it is being terminated|status unknown for quota|failed calling webhook|serviceaccount \"?default\"? not found|"
    r"failed quota: .*must specify",
    re.I,
)
_WRONG: Final = (
    (
        r"must specify (limits|requests)",
        "give requests and limits what the namespace's ResourceQuota asks for",
    ),
    (r"service ?account .* not found", "give service_account one of the namespace"),
    (r"PriorityClass", "give priority_class one that the cluster has"),
    (r"RuntimeClass", "give runtime_class one that the cluster has"),
    (
        r"violates PodSecurity|security ?policy|unable to validate against any",
        "give the pods fewer rights, such as by run_as_non_root and cap_drop=['ALL']",
    ),
    (
        r"(maximum|minimum) (cpu|memory|\S+) (usage|limit)|limit range|"
        r"must be less than or equal to \S+ limit",
        "give requests and limits what the namespace's LimitRange lets in",
    ),
    (r"admission webhook .* denied|denied the request", "give the pods what it asks for"),
    (r"podtemplates .* not found", "give pod the name of one that the namespace has"),
    (r"namespaces? .* not found", "make that namespace, or give namespace another"),
    (r"image: Required|image: Invalid", "give image the name of one, such as 'debian:12'"),
    (
        r"unknown field|is invalid|cannot be handled|cannot unmarshal|Unsupported value",
        "see which of the blueprint's fields that is about; the cluster's documentation says what "
        "a pod's manifest may have",
    ),
)


def refused(where: str, doing: str, status: int, text: str) -> CallFailed:
    """Translate what a cluster answered."""
    said = f"cannot {doing} in {where}: {text}"
    access = remedy_of_access(status, text)
    if access:
        error = Misconfigured(f"{said}. Remedy: {access}")
        return CallFailed(Cause.BARRED, error, is_refusal=status == _FORBIDDEN)
    simple = {_CONFLICT: Cause.TAKEN, _EXPIRED: Cause.EXPIRED}.get(status)
    if simple is not None:
        return CallFailed(simple, RetryLater(said))
    if re.search(_FULL[0][0], text):
        return CallFailed(Cause.FULL, NoCapacity(f"{said}. Remedy: {_FULL[0][1]}"))
    remedy = _remedy(text)
    if _LATER.search(text) and not re.search("must specify", text):
        return CallFailed(Cause.UNWELL, RetryLater(said))
    if status == _ABSENT and not remedy:
        return CallFailed(Cause.ABSENT, RetryLater(said))
    if remedy or status in (_BAD_REQUEST, _FORBIDDEN, _INVALID):
        remedy = remedy or "see what the cluster lets in, and change the pods accordingly"
        return CallFailed(Cause.WRONG, Misconfigured(f"{said}. Remedy: {remedy}"))
    after = _LIMITED_SECONDS if status == _TOO_MANY else 0.0
    return CallFailed(Cause.UNWELL, RetryLater(said, after=after))


def unready(failed: CallFailed) -> CallFailed:
    """Return what a refusal means of a server that does not know yet who may do what."""
    said = f"{failed.error} It may be no more than that: the API server has just started"
    return CallFailed(Cause.UNREACHABLE, RetryLater(said))


def taken(where: str, name: str) -> CallFailed:
    """Return what a pod means that has our name, and is somebody else's."""
    text = (
        f"{where} has a pod named {name} that is not of this blueprint. Remedy: see whose it is, and "
        "delete it"
    )
    return CallFailed(Cause.WRONG, Misconfigured(text))


def leaving(where: str, name: str) -> CallFailed:
    """Return what a pod means that was made before, and is on its way out."""
    return CallFailed(Cause.UNWELL, RetryLater(f"pod {name} in {where} is being deleted already"))


def silent(where: str, doing: str, text: str) -> CallFailed:
    """Translate that there was no answer."""
    said = f"cannot {doing} in {where}: {text}"
    if re.search(r"CERTIFICATE|certificate|TLS|SSL", text) and not re.search("timed out", text):
        remedy = "see which certificates and keys the kubeconfig has, and when they expire"
        return CallFailed(Cause.BARRED, Misconfigured(f"{said}. Remedy: {remedy}"))
    remedy = "see whether the API server runs, and can be reached from the master"
    return CallFailed(Cause.UNREACHABLE, RetryLater(f"{said}. Remedy: {remedy}"))


def unconfigured(where: str, text: str) -> CallFailed:
    """Return what it means that it is not known how the cluster is reached."""
    remedy = (
        "give kubeconfig the path of a file, and context one that is in it, or in_cluster=True if the "
        "master is a pod of the cluster"
    )
    said = f"it is not known how to reach {where}: {text}. Remedy: {remedy}"
    return CallFailed(Cause.BARRED, Misconfigured(said))


def bad_template(what: str, text: str) -> CallFailed:
    """Return what it means that ``pod`` is not what a pod can be made of."""
    remedy = "give pod what a pod's manifest has, with 'spec', 'metadata' or both"
    return CallFailed(Cause.WRONG, Misconfigured(f"{what}: {text}. Remedy: {remedy}"))


def _remedy(text: str) -> str:
    found = (remedy for pattern, remedy in _WRONG if re.search(pattern, text, re.I))
    return next(found, "")
