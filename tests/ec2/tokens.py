"""ClientToken: the same request twice does its work once.

RunInstances is idempotent in a Region, or in a zone if the request names a zone or a subnet: the
same token in another zone launches again. Afterwards a token answers `IdempotentInstanceTerminated`
when its instances are gone, and is forgotten a day after that (EC2 API reference, "Ensuring
idempotency" and "Error codes").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .problems import EC2Error

DAY = 86400.0


@dataclass
class Kept:
    """What a token did."""

    fingerprint: str
    instance_ids: list[str]
    answer: Any


class ClientTokens:
    """The tokens of one account and region.

    `replay_terminated` makes a token whose instances are terminated answer like the first time
    instead of with an error.
    """

    def __init__(self) -> None:
        self.replay_terminated = False
        self._kept: dict[tuple[str, str, str], Kept] = {}

    @staticmethod
    def fingerprint(parameters: dict[str, Any]) -> str:
        """The parameters that must be the same; a zone is part of the scope instead."""
        kept = {
            key: value for key, value in parameters.items() if key not in ("ClientToken", "DryRun")
        }
        return json.dumps(kept, sort_keys=True, default=str)

    def find(self, action: str, token: str, scope: str, parameters: dict[str, Any]) -> Kept | None:
        """What a call with this token did before; None for the first one."""
        kept = self._kept.get((action, token, scope))
        if kept is None:
            return None
        if kept.fingerprint != self.fingerprint(parameters):
            raise EC2Error(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in"
                " previous request(s).",
            )
        return kept

    def keep(
        self,
        action: str,
        token: str,
        scope: str,
        parameters: dict[str, Any],
        instance_ids: list[str],
        answer: Any = None,
    ) -> None:
        """Remember what a call did."""
        self._kept[(action, token, scope)] = Kept(
            self.fingerprint(parameters), instance_ids, answer
        )

    def forget(self, action: str, token: str, scope: str) -> None:
        """A day after its instances ended, a token is as good as new."""
        self._kept.pop((action, token, scope), None)


def check_token(token: str) -> None:
    """Refuse what is no client token."""
    if len(token) > 64 or not token.isascii():
        raise EC2Error(
            "InvalidClientToken",
            "The specified client token is not valid: it must be up to 64 ASCII characters.",
        )
