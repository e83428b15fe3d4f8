"""Launching one instance for one token, however often, and by however many, that is asked for.

The requests for a host are counted, and the n-th has the n-th client token, whatever it asks for.
One that EC2 has answered is over; one whose outcome is unknown is repeated, the same to the last
byte, until it is known, and only then another one is made. EC2 tells a repeated request by its
client token, and answers with what it has launched for it.

What was asked for is remembered here for that, and for nothing else. A master that dies forgets it:
the next one begins with the first request again, and so hears the same answers. If it asks
otherwise, as it found another image or has not heard that there is none of a candidate, EC2 refuses
the request that has a client token of another one. Then an instance may have been launched by that,
and is waited for as long as a new one may be missing from a listing, before the next request is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from buildbot_drydock.errors import NoCapacity, RetryLater
from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent.ec2.candidates import Candidate, Shortages
from buildbot_drydock.latent.ec2.causes import CallFailed, Cause
from buildbot_drydock.latent.ec2.images import Calls
from buildbot_drydock.latent.ec2.listing import NO_REASON, Instance, instances
from buildbot_drydock.latent.ec2.orders import Order, Orders, Outcome, Refusal, sentence
from buildbot_drydock.latent.ec2.requests import Pool, client_token

REMEMBERED_SECONDS: Final = 3600.0
# What is known of earlier requests with the same client token as well: had one launched an instance,
# EC2 would have answered with it.
_ANSWERS: Final = (Cause.CAPACITY, Cause.QUOTA, Cause.MISMATCH, Cause.ENDED)
# What concerns a candidate, and leads to the next.
_PASSING: Final = (Cause.CAPACITY, Cause.QUOTA, Cause.UNWELL)


@dataclass(slots=True)
class Launch:
    """What has been asked for, for one token."""

    since: float
    lock: DeferredLock = field(default_factory=DeferredLock)
    number: int = 0  # of the next request
    in_doubt: Order | None = None  # whose outcome is unknown
    launched: Sequence[Candidate] | None = None  # as what, once that is so
    elsewhere_since: float | None = None  # when it was found that another master has asked
    instances: list[str] = field(default_factory=list)  # launched for it, as far as is known


class Launcher:
    """Launches the instances of one pool. Raises ``CallFailed``."""

    log = Logger()

    def __init__(
        self,
        calls: Calls,
        pool: Pool,
        orders: Orders,
        shortages: Shortages,
        *,
        listing_delay: float,
        clock: Clock,
    ) -> None:
        """*listing_delay* is how long a new instance may be missing from a listing, in seconds."""
        self._calls = calls
        self._pool = pool
        self._orders = orders
        self._shortages = shortages
        self._listing_delay = listing_delay
        self._clock = clock
        self._launches: dict[str, Launch] = {}

    def instances_of(self, token: str) -> list[str]:
        """Return the ids of what was launched here for a token, listed or not."""
        launch = self._launches.get(token)
        return [] if launch is None else list(launch.instances)

    def forget(self, token: str) -> None:
        self._launches.pop(token, None)

    async def launch(self, token: str, candidates: Sequence[Candidate]) -> None:
        """Have an instance launched, unless that is so. Two calls for one token take turns."""
        self._forget_old_ones()
        launch = self._launches.setdefault(token, Launch(self._clock.seconds()))
        await launch.lock.acquire()
        try:
            await self._launch(token, launch, candidates)
        finally:
            launch.lock.release()

    async def _launch(self, token: str, launch: Launch, candidates: Sequence[Candidate]) -> None:
        if launch.launched is not None and await self._is_there(token, launch):
            return
        if launch.in_doubt is not None and await self._place(launch, launch.in_doubt, candidates):
            return
        for _, of_a_market in groupby(candidates, key=lambda each: each.market):
            untried = list(of_a_market)
            while untried := list(self._shortages.available(untried)):
                order = await self._orders.make(token, launch.number, untried)
                if await self._place(launch, order, candidates):
                    return
                untried = [each for each in untried if each not in order.candidates]
        text = self._shortages.sentence(candidates)
        raise CallFailed(Cause.CAPACITY, NoCapacity(f"no capacity: {text}"))

    async def _place(self, launch: Launch, order: Order, candidates: Sequence[Candidate]) -> bool:
        """Place an order; tell whether it was fulfilled. Raises if that is not known."""
        was_in_doubt = launch.in_doubt is not None
        launch.in_doubt = order
        try:
            # If this is cancelled, the call goes on in its thread, and remains in doubt.
            outcome = await order.place()
        except CallFailed as failed:
            if failed.cause in _ANSWERS or not (was_in_doubt or failed.is_unknown):
                launch.in_doubt = None
            return self._failed(launch, order, failed, candidates)
        launch.in_doubt = None
        launch.number += 1
        return self._answered(launch, outcome, candidates)

    def _failed(
        self, launch: Launch, order: Order, failed: CallFailed, candidates: Sequence[Candidate]
    ) -> bool:
        match failed.cause:
            case Cause.MISMATCH:
                launch.number += 1
                launch.launched = order.candidates
                launch.elsewhere_since = self._clock.seconds()
                return True
            case Cause.CAPACITY | Cause.QUOTA:
                for each in order.candidates:
                    self._note(Refusal(each, failed), candidates)
                return False
            case _:
                raise failed

    def _answered(self, launch: Launch, outcome: Outcome, candidates: Sequence[Candidate]) -> bool:
        for refusal in outcome.refusals:
            if refusal.failed.cause in _PASSING or outcome.instances:
                self._note(refusal, candidates)
        if not outcome.instances:
            lasting = [e.failed for e in outcome.refusals if e.failed.cause not in _PASSING]
            if lasting:
                raise lasting[0]
            return False
        launch.launched = outcome.launched
        launch.instances = [each.id for each in outcome.instances]
        if not any(each.is_living for each in outcome.instances):
            raise self._ended(launch, outcome.instances)
        for candidate in outcome.launched:
            self._shortages.forget(candidate)
        return True

    def _note(self, refusal: Refusal, candidates: Sequence[Candidate]) -> None:
        candidate, failed = refusal.candidate, refusal.failed
        if failed.cause is Cause.QUOTA:
            self._shortages.note_quota(candidate, str(failed), candidates)
            return
        if failed.cause not in _PASSING:
            self.log.warn("{candidate} is left out: {failed}", candidate=candidate, failed=failed)
        self._shortages.note(candidate, str(failed))

    # --- what has been launched ---------------------------------------------------------------

    async def _is_there(self, token: str, launch: Launch) -> bool:
        """It was launched, and whoever asks again does not see it in the listing.

        Raises that it has ended, or is not there yet; there may never have been one only if another
        master has asked for it.
        """
        found = await self.known_to_ec2(token)
        if living := [each.id for each in found if each.is_living]:
            launch.instances = living
            return True
        if found:
            raise self._ended(launch, found)
        since = launch.elsewhere_since
        if since is not None and self._clock.seconds() >= since + self._listing_delay:
            launch.launched = launch.elsewhere_since = None
            return False
        names = " and ".join(launch.instances) or "an instance"
        text = f"{names} was launched for {token} and EC2 does not list it yet"
        raise CallFailed(Cause.ABSENT, RetryLater(text))

    async def known_to_ec2(self, token: str) -> list[Instance]:
        """Return what EC2 knows of a host, in whatever state. Tags may show later than the rest."""
        filters = [self._pool.filters(token)]
        if known := self.instances_of(token):
            filters.append([{"Name": "instance-id", "Values": known}])
        elif not self._orders.by_fleet:  # EC2 launches those of a fleet with tokens of its own
            own = client_token(self._pool, token)
            filters.append([{"Name": "client-token", "Values": [own]}])
        for each in filters:
            request: dict[str, Any] = {"Filters": each}
            pages = await self._calls.pages("DescribeInstances", request, about=token)
            if found := list(instances(pages)):
                return found
        return []

    def _ended(self, launch: Launch, ended: Sequence[Instance]) -> CallFailed:
        names = " and ".join(each.id for each in ended) or "an instance"
        reasons = [each.state_reason for each in ended if each.state_reason]
        reason = "; ".join(reasons) or NO_REASON
        candidates = launch.launched or ()
        text = f"{sentence(candidates)}: {names} ended soon after it was launched: {reason}"
        if any("InsufficientInstanceCapacity" in each for each in reasons):
            for candidate in candidates:
                self._shortages.note(candidate, text)
        return CallFailed(Cause.ENDED, NoCapacity(text))

    def _forget_old_ones(self) -> None:
        oldest = self._clock.seconds() - REMEMBERED_SECONDS
        for token in [t for t, launch in self._launches.items() if launch.since < oldest]:
            del self._launches[token]
