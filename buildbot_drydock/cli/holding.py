"""Waiting for leases, holding them, and giving them back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol

from buildbot_drydock.cli.client import Client, Row
from buildbot_drydock.cli.exits import (
    PASSING,
    CommandError,
    LeaseEnded,
    NotFound,
    NotReady,
    Refused,
    TimedOut,
    Unreachable,
)
from buildbot_drydock.cli.requesting import LEASES, LIVING
from buildbot_drydock.cli.times import span

FIRST_LOOK_SECONDS: Final = 0.1  # after the request; each further one takes half as long again
SLOWEST_LOOK_SECONDS: Final = 1.0  # while it waits
HELD_LOOK_SECONDS: Final = 2.0  # once it is active
REMINDER_SECONDS: Final = 60.0  # between two tellings of the same reasons
_RENEWALS: Final = 3  # in the life of a lease
_IDS_AT_A_TIME: Final = 8  # that the master looks up in an index


class Teller(Protocol):
    """Whoever shows what happens."""

    def event(self, row: Row) -> None: ...

    def lease(self, row: Row) -> None:
        """Hear of a lease that has changed, or that waits for other reasons than before."""

    def note(self, message: str) -> None: ...


class Holding:
    """Some leases, as one: all are waited for, and if one ends, so does the holding.

    *lifetime* is for how many seconds a lease is renewed each time.
    """

    def __init__(
        self,
        client: Client,
        leases: Iterable[Row],
        teller: Teller,
        *,
        lifetime: float,
        pause: Callable[[float], None],
    ) -> None:
        self._client = client
        self._teller = teller
        self._lifetime = lifetime
        self._pause = pause
        self.leases: dict[int, Row] = {row["leaseid"]: row for row in leases}
        self._last_event = 0
        self._told: dict[int, tuple[Any, ...]] = {}
        self._told_at = client.master_now()
        self._renew_at = client.master_now() + lifetime / _RENEWALS
        self._lost = False

    def follow(self, earlier: Holding) -> None:
        """Tell nothing that *earlier* has told."""
        self._last_event, self._told = earlier._last_event, earlier._told

    def wait(self, timeout: float | None = None) -> None:
        """Return when all leases are active.

        Raises ``LeaseEnded`` with its reason if one ends, ``TimedOut`` after *timeout* seconds, and
        ``Unreachable`` if the master was not heard of until a lease expired.
        """
        deadline = None if timeout is None else self._client.master_now() + timeout
        interval = FIRST_LOOK_SECONDS
        while not self._look() or not self._all("active"):
            if deadline is not None and self._client.master_now() >= deadline:
                raise TimedOut(
                    f"after {span(timeout or 0)}, not all is leased: {self._why_it_waits()}"
                )
            self._pause(interval)
            interval = min(interval * 1.5, SLOWEST_LOOK_SECONDS)

    def hold(self) -> None:
        """Renew the leases until they end as was wanted from the start.

        Raises as ``wait`` does.
        """
        while True:
            self._pause(min(HELD_LOOK_SECONDS, self._lifetime / _RENEWALS / 2))
            try:
                self._look()
            except LeaseEnded:
                if self._is_over():
                    return
                raise

    def release(self, reason: str) -> None:
        """Give all back first, and then tell of it; say so of what could not be."""
        changed = []
        for number, row in self.leases.items():
            if row["status"] not in LIVING:
                continue
            try:
                changed.append(
                    self._client.act(f"{LEASES}/{number}", "release", {"reason": reason})
                )
            except CommandError as problem:
                left = span((row["expires_at"] or 0) - self._client.master_now())
                self._teller.note(
                    f"lease {number} could not be released, and expires in {left}: {problem}"
                )
        for row in changed:
            self._look_at(row)
        with suppress(CommandError):
            self._tell_events()

    # --- one look ----------------------------------------------------------------------------

    def _look(self) -> bool:
        """Take in what is new; tell whether the master answered."""
        try:
            self._renew_in_time()
            rows = self._client.rows(LEASES, leaseid=list(self.leases), order="leaseid")
            self._tell_events()
        except PASSING as problem:
            self._bear(problem)
            return False
        if self._lost:
            self._lost = False
            self._teller.note("the master answers again")
        for row in rows:
            self._look_at(row)
        missing = self.leases.keys() - {row["leaseid"] for row in rows}
        if missing:
            raise NotFound(f"there is no lease {min(missing)} any more")
        self._check()
        return True

    def _renew_in_time(self) -> None:
        now = self._client.master_now()
        if now < self._renew_at:
            return
        for number, row in self.leases.items():
            if row["status"] in LIVING:
                try:
                    self._client.act(f"{LEASES}/{number}", "renew", {"seconds": self._lifetime})
                except NotReady:
                    raise
                except (NotFound, Refused):
                    pass  # it has ended, as the next look tells
        self._renew_at = now + self._lifetime / _RENEWALS

    def _tell_events(self) -> None:
        numbers = list(self.leases)
        found: list[Row] = []
        for start in range(0, len(numbers), _IDS_AT_A_TIME):
            found += self._client.rows(
                "drydock_events",
                leaseid=numbers[start : start + _IDS_AT_A_TIME],
                eventid__gt=self._last_event,
                order="eventid",
                limit=1_000,
            )
        for event in sorted(found, key=lambda event: int(event["eventid"])):
            self._last_event = event["eventid"]
            if event["kind"] != "lease-renewed":  # which is done all the time
                self._teller.event(event)

    def _look_at(self, row: Row) -> None:
        number = row["leaseid"]
        self.leases[number] = row
        now = self._client.master_now()
        # Not the sentences: there are seconds in them.
        reasons = sorted((each["kind"], each.get("blueprint", "")) for each in row["reasons"])
        shown = (row["status"], *reasons)
        waits_long = row["status"] == "pending" and now - self._told_at >= REMINDER_SECONDS
        if self._told.get(number) != shown or waits_long:
            self._told[number] = shown
            self._told_at = now
            self._teller.lease(row)

    def _check(self) -> None:
        ended = [row for row in self.leases.values() if row["status"] not in LIVING]
        if ended:
            row = ended[0]
            raise LeaseEnded(
                f"lease {row['leaseid']} has ended ({row['status']}): {row['reason'] or 'no reason'}"
            )

    def _bear(self, problem: CommandError) -> None:
        """Go on without an answer, until what is leased has expired."""
        now = self._client.master_now()
        ends = [row["expires_at"] for row in self.leases.values() if row["expires_at"] is not None]
        left = min(ends, default=now + self._lifetime) - now
        if left <= 0:
            raise Unreachable(
                f"{problem.message}; the leases have expired meanwhile", problem.remedy
            )
        if not self._lost:
            self._lost = True
            self._teller.note(
                f"{problem.message}; trying again until the leases expire, in {span(left)}"
            )

    def _all(self, status: str) -> bool:
        return all(row["status"] == status for row in self.leases.values())

    def _is_over(self) -> bool:
        """Tell whether the time that was asked for has come."""
        now = self._client.master_now()
        return all(
            row["status"] in LIVING or (row["until"] is not None and now >= row["until"] - 1)
            for row in self.leases.values()
        )

    def _why_it_waits(self) -> str:
        for row in self.leases.values():
            for reason in row["reasons"]:
                return str(reason["sentence"])
        return "no reason is known yet"
