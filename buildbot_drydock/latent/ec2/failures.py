"""What the errors of AWS mean: which of ours each is, what is wrong, where, and the remedy.

The codes are from "Error codes for the Amazon EC2 API", those of STS and SSM from their references.
"""

from __future__ import annotations

import re
from typing import Any, Final

from botocore import exceptions
from botocore.parsers import ResponseParserError

from buildbot_drydock.errors import Misconfigured, NoCapacity, RetryLater
from buildbot_drydock.latent.ec2.causes import Call, CallFailed, Cause

_THROTTLED: Final = {
    *("RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException"),
    *("RequestThrottled", "RequestThrottledException", "TooManyRequestsException"),
    *("EC2ThrottledException", "SlowDown", "BandwidthLimitExceeded", "RequestThrottledError"),
}
_CAPACITY: Final = {
    *("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity"),
    *("InsufficientReservedInstanceCapacity", "InsufficientCapacityOnHost"),
    *("InsufficientFreeAddressesInSubnet", "InsufficientAddressCapacity"),
    *("UnfulfillableCapacity", "SpotMaxPriceTooLow", "Unsupported", "InsufficientVolumeCapacity"),
    "ReservationCapacityExceeded",
}
_QUOTA: Final = {
    *("VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded"),
    *("VolumeLimitExceeded", "NetworkInterfaceLimitExceeded", "MaxFleetCountExceeded"),
}
_ABSENT: Final = {
    *("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "InvalidInstanceID"),
    *("InvalidInstanceId", "InvocationDoesNotExist", "InvalidCommandId"),  # of SSM
}
_CREDENTIALS: Final = {
    *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "AuthFailure"),
    *("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"),
    *("IncompleteSignature", "MissingAuthenticationToken", "InvalidAccessKeyId"),
    *("TokenRefreshRequired", "InvalidToken"),
}
_UNAUTHORIZED: Final = {
    *("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "UnauthorizedAccess"),
}
_UNWELL: Final = {
    *(
        "InternalError",
        "InternalFailure",
        "Unavailable",
        "ServiceUnavailable",
        "InternalServerError",
    ),
    *("RequestTimeout", "RequestTimeoutException", "RequestAbortedException", "IncorrectState"),
    "IncorrectInstanceState",  # it is about to change: what starts can't be stopped
    *("ResourceNotReady", "ConcurrentUpdate", "PriorRequestNotComplete"),
}

# The beginning of a code, and what to do about it. The first that fits counts.
_REMEDIES: Final = (
    (
        "VcpuLimitExceeded",
        "ask for more of the vCPU quota named there in Service Quotas, or lower limit",
    ),
    (
        "MaxSpotInstanceCount",
        "ask for more of the spot vCPU quota in Service Quotas, or let Spot have on_demand_fallback",
    ),
    ("InstanceLimitExceeded", "ask for more instances in Service Quotas, or lower limit"),
    ("VolumeLimitExceeded", "ask for more EBS storage in Service Quotas, or delete unused volumes"),
    ("InsufficientFreeAddresses", "give subnets one with free addresses as well"),
    ("SpotMaxPriceTooLow", "raise max_price of Spot, or leave it out"),
    ("Unsupported", "give instance_types and subnets or zones that go together"),
    ("Expired", "renew the credentials of the master: profile, environment or role"),
    ("RequestExpired", "see whether the master's clock is right"),
    ("AuthFailure", "see which credentials the master uses: profile, environment or role"),
    ("InvalidAMI", "give image an image of this region that this account may launch"),
    ("ParameterNotFound", "give image the name of a parameter that is there in this region"),
    ("InvalidSubnet", "give subnets the ids of subnets in this region and account"),
    ("InvalidGroup", "give security_groups the ids of groups in the VPC of the subnets"),
    ("InvalidSecurityGroup", "give security_groups the ids of groups in the VPC of the subnets"),
    ("InvalidKeyPair", "give key_name a key pair of this region, or leave it out"),
    ("InvalidInstanceType", "give instance_types types that there are in this region"),
    ("InvalidLaunchTemplate", "give launch_template one of this region, and a version it has"),
    ("InvalidSnapshot", "give the volume's snapshot one of this region"),
    ("InvalidIamInstanceProfile", "give instance_profile one of this account"),
    ("InvalidAvailabilityZone", "give zones those of this region"),
    ("AWS.SimpleQueueService.NonExistentQueue", "give interruption_queue one of this region"),
    ("QueueDoesNotExist", "give interruption_queue one of this region"),
    ("OperationNotPermitted", "turn off the termination protection of the instance"),
    ("OptInRequired", "subscribe to the image in AWS Marketplace, or enable the region"),
    ("PendingVerification", "wait until AWS has verified the account"),
)
_REMEDIES_BY_WORD: Final = (
    ("iaminstanceprofile", "give instance_profile one of this account"),
    ("iam instance profile", "give instance_profile one of this account"),
    ("availability zone", "give zones those of this region"),
    ("instancetype", "give instance_types types that there are in this region"),
    ("instance type", "give instance_types types that there are in this region"),
    ("subnet", "give subnets the ids of subnets in this region and account"),
    ("user data", "make user_data shorter"),
)
_NEEDED: Final = re.compile(r"perform: (?P<action>[\w:*]+)(?: on resource: (?P<resource>\S+))?")
_ENCODED: Final = re.compile(r"\s*Encoded authorization failure message: \S+")


def translated(error: Exception, call: Call) -> CallFailed:
    """Return what an exception of botocore means. What is none of its own is raised again."""
    if isinstance(error, exceptions.ClientError):
        return _of_client(error, call)
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return _misconfigured(
            Cause.CREDENTIALS,
            f"{call}: the master has no credentials for AWS ({error})",
            "give the blueprint a profile, or the master's host a role or AWS_ variables",
        )
    if isinstance(error, exceptions.ProfileNotFound):
        return _misconfigured(
            Cause.CREDENTIALS,
            f"{call}: {error}",
            "give profile one that ~/.aws/config of the master's user has",
        )
    if isinstance(
        error,
        exceptions.CredentialRetrievalError
        | exceptions.SSOError
        | exceptions.TokenRetrievalError
        | exceptions.RefreshWithMFAUnsupportedError,
    ):
        return _misconfigured(
            Cause.CREDENTIALS,
            f"{call}: the credentials could not be renewed ({error})",
            "log in again, or give the master a role that needs nobody",
        )
    if isinstance(error, exceptions.ParamValidationError | exceptions.UnknownServiceError):
        return _misconfigured(Cause.WRONG, f"{call}: {error}", "see the fields of the blueprint")
    # The last is what it says to something that is no answer of AWS, such as a proxy's page.
    if isinstance(
        error, exceptions.BotoCoreError | exceptions.HTTPClientError | ResponseParserError
    ):
        return CallFailed(Cause.UNWELL, RetryLater(f"{call}: no answer from AWS ({error})"))
    raise error


def _of_client(error: exceptions.ClientError, call: Call) -> CallFailed:
    told: dict[str, Any] = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return meaning(str(told.get("Code", "")), str(told.get("Message", "")), call, status=status)


def meaning(code: str, message: str, call: Call, *, status: int = 0) -> CallFailed:
    """Return what an error means that AWS tells by its code, in an answer or in place of one."""
    code = code.removeprefix("Client.").removeprefix("Server.")
    failed = _meaning(code, message, call, status)
    failed.code = code
    return failed


def _meaning(code: str, message: str, call: Call, status: int) -> CallFailed:
    message = _ENCODED.sub("", message).strip()
    cause = _cause(code, status)
    text = f"{call}: {code}: {message}".rstrip(": ").rstrip(".")
    if code in _UNAUTHORIZED:
        return _unauthorized(call, code, message)
    match cause:
        case Cause.THROTTLED | Cause.UNWELL | Cause.ABSENT:
            return CallFailed(cause, RetryLater(text))
        case Cause.CAPACITY | Cause.QUOTA | Cause.ENDED | Cause.MISMATCH:
            remedy = _remedy(code, message)
            return CallFailed(cause, NoCapacity(f"{text}. Remedy: {remedy}" if remedy else text))
        case _:
            return _misconfigured(
                cause, text, _remedy(code, message) or "see the fields of the blueprint"
            )


def _cause(code: str, status: int) -> Cause:
    for codes, cause in (
        (_THROTTLED, Cause.THROTTLED),
        (_CAPACITY, Cause.CAPACITY),
        (_QUOTA, Cause.QUOTA),
        (_ABSENT, Cause.ABSENT),
        (_CREDENTIALS, Cause.CREDENTIALS),
        ({"IdempotentParameterMismatch"}, Cause.MISMATCH),
        ({"IdempotentInstanceTerminated"}, Cause.ENDED),
        (_UNWELL, Cause.UNWELL),
    ):
        if code in codes:
            return cause
    return Cause.UNWELL if status >= 500 or not code else Cause.WRONG


def _unauthorized(call: Call, code: str, message: str) -> CallFailed:
    found = _NEEDED.search(message)
    action = found["action"] if found else f"{call.service}:{call.operation}"
    resource = found["resource"] if found and found["resource"] else ""
    on = f" on {resource}" if resource else ""
    return _misconfigured(
        Cause.WRONG,
        f"{call}: {code}: the master's credentials may not do {action}{on}",
        f"allow them {action} in IAM; docs/ec2.md has the whole policy",
    )


def _misconfigured(cause: Cause, text: str, remedy: str) -> CallFailed:
    return CallFailed(cause, Misconfigured(f"{text}. Remedy: {remedy}"))


def _remedy(code: str, message: str = "") -> str:
    found = next((remedy for begin, remedy in _REMEDIES if code.startswith(begin)), "")
    # Many parameters share one code; then the message names which it is.
    told = (remedy for word, remedy in _REMEDIES_BY_WORD if word in message.lower())
    return found or next(told, "")
