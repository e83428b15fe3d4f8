"""Requesting a lease so that none is lost: each request is marked, and found again by its mark.

The reply that tells of a new lease may never come. Then the master is asked whether it has a lease
with this mark, before another one is requested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from buildbot_drydock.cli.client import Client, Row
from buildbot_drydock.cli.exits import CommandError, MasterFailed, Unreachable
from buildbot_drydock.cli.interruption import Interruptions

MARK: Final = "request_id"  # the attribute that has it
LEASES: Final = "drydock_leases"
LIVING: Final = ("pending", "acquired", "active")
_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 1.0
_LOOKED_THROUGH: Final = 50  # of the newest leases


class Requests:
    """*new_mark* makes a text that nobody else makes. *taken* are the rows of what was requested.

    ``taken`` is right whenever a signal ends the call; what may be there without being known is
    found by ``look_again``.
    """

    def __init__(
        self,
        client: Client,
        interruptions: Interruptions,
        *,
        new_mark: Callable[[], str],
        pause: Callable[[float], None],
        note: Callable[[str], None],
    ) -> None:
        self._client = client
        self._interruptions = interruptions
        self._new_mark = new_mark
        self._pause = pause
        self._note = note
        self._open: str | None = None  # the mark of a request whose reply has not come
        self.taken: dict[int, Row] = {}

    def request(self, params: Mapping[str, Any]) -> Row:
        """Request one lease. Raises ``CommandError``."""
        mark = self._new_mark()
        marked = {**params, "attributes": {**params.get("attributes", {}), MARK: mark}}
        give_up_at = self._client.master_now() + _PATIENCE_SECONDS
        again = False
        while True:
            try:
                return self._attempt(mark, marked, again=again)
            except Unreachable as problem:
                # A master that was never there is told of at once.
                hopeless = not again and not problem.may_be_done
                if hopeless or self._client.master_now() >= give_up_at:
                    raise
                if not again:
                    self._note(f"{problem.message}; looking whether the lease was requested")
            again = True
            self._pause(_PAUSE_SECONDS)

    def _attempt(self, mark: str, params: Mapping[str, Any], *, again: bool) -> Row:
        with self._interruptions.held():
            found = self._find(mark) if again else None
            if found is None:
                self._open = mark
                try:
                    found = self._client.act(LEASES, "request", params)
                except Unreachable as problem:
                    if not problem.may_be_done and not again:
                        self._open = None
                    raise
                except MasterFailed:
                    raise  # in the middle of it, maybe
                except CommandError:
                    self._open = None
                    raise
            self._open = None
            self.taken[found["leaseid"]] = found
            return found

    def look_again(self) -> None:
        """Find the lease of a request whose reply never came. Raises ``CommandError``."""
        if self._open is None:
            return
        found = self._find(self._open)
        self._open = None
        if found is not None:
            self.taken[found["leaseid"]] = found

    def _find(self, mark: str) -> Row | None:
        """Look into each of the newest leases: only by itself does one show its attributes."""
        rows = self._client.rows(LEASES, status=LIVING, order="-leaseid", limit=_LOOKED_THROUGH)
        for each in rows:
            number = each["leaseid"]
            row = self._client.row(f"{LEASES}/{number}", f"lease {number}")
            if row["attributes"].get(MARK) == mark:
                return row
        return None
