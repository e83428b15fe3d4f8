"""Launching one instance for one token, however often, and by however many, that is asked for.

The candidates are asked for one after another. A request that EC2 has refused is over; one whose
outcome is unknown is repeated, the same to the last byte, until its outcome is known, and only then
is another candidate asked for. EC2 tells a repeated request by its client token, and answers with
the instance that it has launched for it.

What was asked for is remembered here for that, and for nothing else. A master that dies forgets it:
the next one asks for the same candidates in the same order, with the same client tokens, and before
any but the first it looks for an instance that EC2 knows by one of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from twisted.internet.defer import DeferredLock

from buildbot_drydock.errors import NoCapacity, RetryLater
from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent.ec2.candidates import Candidate, Shortages
from buildbot_drydock.latent.ec2.causes import CallFailed, Cause
from buildbot_drydock.latent.ec2.images import Calls
from buildbot_drydock.latent.ec2.listing import NO_REASON, Instance, instances

# Makes the request for a token and a candidate. Raises ``CallFailed``.
MakeRequest: TypeAlias = Callable[[str, Candidate], Awaitable[dict[str, Any]]]

REMEMBERED_SECONDS: Final = 3600.0
_MOST_VALUES: Final = 200  # that a filter takes
# What is known of earlier requests with the same client token as well: had one launched an instance,
# EC2 would have answered with it.
_ANSWERS: Final = (Cause.CAPACITY, Cause.QUOTA, Cause.MISMATCH, Cause.ENDED)


@dataclass(slots=True)
class Launch:
    """What has been asked for, for one token."""

    since: float
    lock: DeferredLock = field(default_factory=DeferredLock)
    # The request whose outcome is unknown, and what it is for.
    in_doubt: tuple[Candidate, dict[str, Any]] | None = None
    refused: set[Candidate] = field(default_factory=set)
    instances: list[str] = field(default_factory=list)  # launched for it, as far as is known
    launched: Candidate | None = None


class Launcher:
    """Launches the instances of one pool. Raises ``CallFailed``."""

    def __init__(
        self,
        calls: Calls,
        shortages: Shortages,
        make_request: MakeRequest,
        client_token: Callable[[str, Candidate], str],
        *,
        clock: Clock,
    ) -> None:
        self._calls = calls
        self._client_token = client_token
        self._shortages = shortages
        self._make_request = make_request
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
        if launch.launched is not None:
            await self._see_how_it_fares(token, launch, candidates)
            return
        if launch.in_doubt is not None:
            candidate, request = launch.in_doubt
            if await self._ask(launch, candidate, request, candidates):
                return
        looked = False
        for candidate in self._shortages.available(candidates):
            if candidate in launch.refused:
                continue
            if candidate != candidates[0] and not looked:
                looked = True
                if await self._find(token, launch, candidates):
                    return
            request = await self._make_request(token, candidate)
            if await self._ask(launch, candidate, request, candidates):
                return
        launch.refused.clear()  # whoever asks again wants them all
        text = self._shortages.sentence(candidates)
        raise CallFailed(Cause.CAPACITY, NoCapacity(f"no capacity: {text}"))

    async def _ask(
        self,
        launch: Launch,
        candidate: Candidate,
        request: dict[str, Any],
        candidates: Sequence[Candidate],
    ) -> bool:
        """Ask for a candidate; tell whether it was launched. Raises if that is not known."""
        was_in_doubt = launch.in_doubt is not None
        launch.in_doubt = (candidate, request)
        try:
            # If this is cancelled, the call goes on in its thread, and remains in doubt.
            reply = await self._calls.call("RunInstances", request, about=str(candidate))
        except CallFailed as failed:
            if failed.cause in _ANSWERS or not (was_in_doubt or failed.is_unknown):
                launch.in_doubt = None
            return self._refused(launch, candidate, failed, candidates)
        launch.in_doubt = None
        launched = list(instances([reply]))
        launch.launched = candidate
        launch.instances = [each.id for each in launched]
        if not any(each.is_living for each in launched):
            raise self._ended(candidate, launched)
        self._shortages.forget(candidate)
        return True

    def _refused(
        self,
        launch: Launch,
        candidate: Candidate,
        failed: CallFailed,
        candidates: Sequence[Candidate],
    ) -> bool:
        match failed.cause:
            case Cause.MISMATCH:
                # It was launched by a master that had other settings, or found another image.
                launch.launched = candidate
                return True
            case Cause.CAPACITY:
                self._shortages.note(candidate, str(failed))
            case Cause.QUOTA:
                self._shortages.note_quota(candidate, str(failed), candidates)
            case _:
                raise failed
        launch.refused.add(candidate)
        return False

    async def _find(self, token: str, launch: Launch, candidates: Sequence[Candidate]) -> bool:
        """Look for what was launched for a token, whoever did; tell whether it lives."""
        found = await self.known_to_ec2(token, candidates)
        living = [each.id for each in found if each.is_living]
        if living:
            launch.launched = launch.launched or candidates[0]
            launch.instances = living
        return bool(living)

    async def _see_how_it_fares(
        self, token: str, launch: Launch, candidates: Sequence[Candidate]
    ) -> None:
        """It was launched, and whoever asks again does not see it in the listing."""
        found = await self.known_to_ec2(token, candidates)
        living = [each.id for each in found if each.is_living]
        if living:
            launch.instances = living
        elif found:
            assert launch.launched is not None
            raise self._ended(launch.launched, found)
        else:
            names = " and ".join(launch.instances) or "an instance"
            text = f"{names} was launched for {token} and EC2 does not list it yet"
            raise CallFailed(Cause.ABSENT, RetryLater(text))

    async def known_to_ec2(self, token: str, candidates: Sequence[Candidate]) -> list[Instance]:
        """Return what EC2 knows by the client tokens of a host, in whatever state."""
        tokens = [self._client_token(token, each) for each in candidates]
        found: list[Instance] = []
        for first in range(0, len(tokens), _MOST_VALUES):
            values = tokens[first : first + _MOST_VALUES]
            request = {"Filters": [{"Name": "client-token", "Values": values}]}
            found += instances(await self._calls.pages("DescribeInstances", request, about=token))
        return found

    def _ended(self, candidate: Candidate, ended: Sequence[Instance]) -> CallFailed:
        names = " and ".join(each.id for each in ended) or "an instance"
        reasons = [each.state_reason for each in ended if each.state_reason]
        reason = "; ".join(reasons) or NO_REASON
        text = f"{candidate}: {names} ended soon after it was launched: {reason}"
        if any("InsufficientInstanceCapacity" in each for each in reasons):
            self._shortages.note(candidate, text)
        return CallFailed(Cause.ENDED, NoCapacity(text))

    def _forget_old_ones(self) -> None:
        oldest = self._clock.seconds() - REMEMBERED_SECONDS
        for token in [t for t, launch in self._launches.items() if launch.since < oldest]:
            del self._launches[token]
