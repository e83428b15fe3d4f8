"""What is asked of EC2 for one host, at once: an instance of any of some candidates.

Where there is one candidate it is asked for by RunInstances, otherwise by a fleet. An order that is
placed again is the same to the last byte, so that EC2 answers with what it launched for it before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from buildbot_drydock.errors import NoCapacity, RetryLater
from buildbot_drydock.latent.ec2 import fleets
from buildbot_drydock.latent.ec2.candidates import Candidate
from buildbot_drydock.latent.ec2.causes import Call, CallFailed, Cause
from buildbot_drydock.latent.ec2.images import Calls, Images
from buildbot_drydock.latent.ec2.launch_templates import ABSENT, LaunchTemplates
from buildbot_drydock.latent.ec2.listing import Instance, instances
from buildbot_drydock.latent.ec2.requests import Pool, Settings, run_instances
from buildbot_drydock.latent.ec2.subnets import Subnets, once_in_a_zone

# What a fleet says of a type that a zone does not offer, where RunInstances says Unsupported.
_NOT_OFFERED: Final = "InvalidFleetConfiguration"
_NAMED: Final = 3  # candidates, in a sentence


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one of an order's candidates was not launched."""

    candidate: Candidate
    failed: CallFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an order."""

    instances: Sequence[Instance] = ()
    launched: Sequence[Candidate] = ()
    refusals: Sequence[Refusal] = ()


class Order(Protocol):
    """One request, and all that is needed to make it again."""

    @property
    def candidates(self) -> Sequence[Candidate]: ...

    async def place(self) -> Outcome:
        """Make the request. Raises ``CallFailed`` if nothing was launched, or that is unknown."""
        ...


@dataclass(frozen=True)
class RunOrder:
    """An order by RunInstances."""

    calls: Calls
    candidate: Candidate
    request: Mapping[str, Any]

    @property
    def candidates(self) -> Sequence[Candidate]:
        return (self.candidate,)

    async def place(self) -> Outcome:
        about = str(self.candidate)
        reply = await self.calls.call("RunInstances", self.request, about=about)
        return Outcome(instances=tuple(instances([reply])), launched=self.candidates)


@dataclass(frozen=True)
class FleetOrder:
    """An order by CreateFleet."""

    calls: Calls
    templates: LaunchTemplates
    region: str
    token: str
    candidates: Sequence[Candidate]
    template: Mapping[str, Any]
    request: Mapping[str, Any]

    async def place(self) -> Outcome:
        await self.templates.make(self.template)
        try:
            about = sentence(self.candidates)
            reply = await self.calls.call("CreateFleet", self.request, about=about)
        except CallFailed as failed:
            self._see_about_template(failed)
            raise
        return self._outcome(reply)

    def _see_about_template(self, failed: CallFailed) -> None:
        """Raise that it is missing: it was deleted, or is too new for EC2 to show it everywhere."""
        if failed.code in ABSENT:
            self.templates.missed(self.template["LaunchTemplateName"])
            raise CallFailed(Cause.ABSENT, RetryLater(str(failed)), code=failed.code) from failed

    def _outcome(self, reply: Mapping[str, Any]) -> Outcome:
        found = list(fleets.launched(reply))
        refusals = tuple(self._refusals(reply))
        if not found and not refusals:
            call = self._call(self.candidates)
            failed = _without_a_word(call)
            refusals = tuple(Refusal(each, failed) for each in self.candidates)
        market = self.candidates[0].market
        return Outcome(
            instances=[
                Instance(id=number, token=self.token, state="pending", market=market)
                for number, _ in found
            ],
            launched=[
                each for _, told in found for each in fleets.concerned(told, self.candidates)
            ],
            refusals=refusals,
        )

    def _refusals(self, reply: Mapping[str, Any]) -> list[Refusal]:
        # What knows the errors of botocore too is there only where that is.
        from buildbot_drydock.latent.ec2.failures import meaning

        found = []
        for told in reply.get("Errors", ()):
            concerned = fleets.concerned(told, self.candidates)
            code, message = told.get("ErrorCode") or "", told.get("ErrorMessage") or ""
            if code == _NOT_OFFERED:
                code, message = "Unsupported", f"{code}: {message}"
            failed = meaning(code, message, self._call(concerned or self.candidates))
            if not reply.get("Instances"):
                self._see_about_template(failed)
            found += [Refusal(each, failed) for each in concerned]
        return found

    def _call(self, candidates: Sequence[Candidate]) -> Call:
        return Call(operation="CreateFleet", region=self.region, about=sentence(candidates))


class Orders:
    """Makes the orders of one pool."""

    def __init__(
        self,
        calls: Calls,
        pool: Pool,
        settings: Settings,
        images: Images,
        templates: LaunchTemplates,
        subnets: Subnets,
        user_data: Callable[[str], str],
        *,
        region: str,
        by_fleet: bool,
    ) -> None:
        self._calls = calls
        self._pool = pool
        self._settings = settings
        self._images = images
        self._templates = templates
        self._subnets = subnets
        self._user_data = user_data
        self._region = region
        self.by_fleet = by_fleet

    async def make(self, token: str, number: int, candidates: Sequence[Candidate]) -> Order:
        """Return the n-th order for a host. Raises ``CallFailed``.

        All *candidates* are of one market, and the order is for all that EC2 takes at once.
        """
        image = await self._images.current()
        text = self._user_data(token)
        settings, pool = self._settings, self._pool
        if not self.by_fleet:
            (candidate,) = candidates
            request = run_instances(settings, pool, token, candidate, image, text)
            return RunOrder(self._calls, candidate, request)
        base = await self._templates.base()
        candidates = once_in_a_zone(candidates, await self._subnets.zones())
        market = candidates[0].market
        data = fleets.template_data(settings, pool, token, market, image, text, base)
        template = fleets.create_launch_template(pool, token, data)
        name = template["LaunchTemplateName"]
        return FleetOrder(
            self._calls,
            self._templates,
            self._region,
            token,
            candidates,
            template,
            fleets.create_fleet(settings, pool, token, number, candidates, name),
        )


def sentence(candidates: Sequence[Candidate]) -> str:
    """Return what an order is for, in a few words."""
    named = ", ".join(map(str, candidates[:_NAMED]))
    more = len(candidates) - _NAMED
    return f"{named} and {more} more" if more > 0 else named


def _without_a_word(call: Call) -> CallFailed:
    """Return what it means that a fleet has neither an instance nor an error."""
    return CallFailed(
        Cause.CAPACITY, NoCapacity(f"{call}: nothing was launched, and no error told")
    )
