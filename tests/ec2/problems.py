"""Errors of the EC2 API: the code, the message and the HTTP status that EC2 documents."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

# The table "Server error codes" of the API reference, and the few client errors that are not 400.
_STATUS = {
    "AuthFailure": 401,
    "DryRunOperation": 412,
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "RequestLimitExceeded": 503,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
}


class EC2Error(Exception):
    """A call is refused. `code` and `message` go to the client."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, 400)

    def as_xml(self) -> str:
        """The body of an answer of the EC2 API."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Response><Errors><Error><Code>{escape(self.code)}</Code>"
            f"<Message>{escape(self.message)}</Message></Error></Errors>"
            "<RequestID>00000000-0000-4000-8000-000000000000</RequestID></Response>"
        )

    def as_json(self) -> str:
        """The body of an answer of SSM, SQS or EventBridge."""
        return json.dumps({"__type": self.code, "message": self.message})


def bad_value(value: object, parameter: str, reason: str) -> EC2Error:
    """InvalidParameterValue, worded as EC2 words it."""
    return EC2Error(
        "InvalidParameterValue",
        f"Value ({value}) for parameter {parameter} is invalid. {reason}",
    )


def bad_combination(message: str) -> EC2Error:
    """InvalidParameterCombination."""
    return EC2Error("InvalidParameterCombination", message)
