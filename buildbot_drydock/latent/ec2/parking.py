"""Stopping and starting instances, which then keep their volumes, id, tags and private address.

Both calls say what an instance is to be, and change nothing of one that is so already: EC2 answers
with its state. It refuses to stop one that is starting, and to start one that is stopping; then the
loop asks again once the listing tells of the end of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from buildbot_drydock.errors import NoCapacity, RequestRejected
from buildbot_drydock.latent.ec2.candidates import Candidate, Market, Shortages
from buildbot_drydock.latent.ec2.causes import CallFailed, Cause
from buildbot_drydock.latent.ec2.images import Calls
from buildbot_drydock.latent.ec2.listing import Instance
from buildbot_drydock.model import Health

# Health of an instance by its state. One that somebody else has stopped looks the same.
STOPPED: Final = {"stopping": Health.PARKING, "stopped": Health.PARKED}
_ROOT_DEVICE_TYPE: Final = "ebs"  # what is on an instance store is lost


def is_parkable(instance: Instance) -> bool:
    """Tell whether an instance can be stopped and started.

    One of a one-time spot request, as those of fleets are, can't be ("Stop and start Amazon EC2
    instances" in the EC2 user guide).
    """
    return instance.market is Market.ON_DEMAND and instance.root_device_type == _ROOT_DEVICE_TYPE


class Parking:
    """Stops and starts the instances of one pool. Raises ``CallFailed``."""

    def __init__(
        self,
        calls: Calls,
        shortages: Shortages,
        candidates: Sequence[Candidate],
        *,
        hibernates: bool,
    ) -> None:
        """*candidates* are all of the pool's: those that an instance is one of lack capacity with
        it. *hibernates* is whether memory is kept where an instance was launched for that."""
        self._calls = calls
        self._shortages = shortages
        self._candidates = candidates
        self._hibernates = hibernates

    async def stop(self, instance: Instance) -> None:
        request: dict[str, Any] = {"InstanceIds": [instance.id]}
        if self._hibernates and instance.hibernates:
            request["Hibernate"] = True
        try:
            await self._calls.call("StopInstances", request, about=instance.token)
        except CallFailed as failed:
            if failed.cause is Cause.WRONG:
                raise CallFailed(Cause.WRONG, RequestRejected(str(failed))) from failed
            raise

    async def start(self, instance: Instance) -> None:
        """Start an instance, unless there was none of its kind to be had a short while ago."""
        concerned = list(self._candidates_of(instance))
        if concerned and not any(self._shortages.available(concerned)):
            text = self._shortages.sentence(concerned)
            raise CallFailed(Cause.CAPACITY, NoCapacity(f"no capacity: {text}"))
        request = {"InstanceIds": [instance.id]}
        try:
            await self._calls.call("StartInstances", request, about=instance.token)
        except CallFailed as failed:
            for each in concerned:
                if failed.cause is Cause.CAPACITY:
                    self._shortages.note(each, str(failed))
                elif failed.cause is Cause.QUOTA:
                    self._shortages.note_quota(each, str(failed), self._candidates)
            raise
        for each in concerned:
            self._shortages.forget(each)

    def _candidates_of(self, instance: Instance) -> Iterator[Candidate]:
        """Yield what an instance was launched as: its type where it is, on demand."""
        where = ("", instance.zone, instance.subnet)
        for each in self._candidates:
            same = (each.instance_type, each.market) == (instance.instance_type, instance.market)
            if same and each.place in where:
                yield each
