"""In which zones the subnets of a pool are.

A fleet takes a type once in a zone: two subnets there would be "duplicate instance pools", and EC2
would refuse the whole request. So one of them is asked for, and the other when it is the other's turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildbot_drydock.latent.ec2.candidates import Candidate
from buildbot_drydock.latent.ec2.images import Calls


class Subnets:
    """Looks up the zones, once: a subnet stays where it is."""

    def __init__(self, calls: Calls, ids: Sequence[str]) -> None:
        self._calls = calls
        self._ids = ids
        self._zones: Mapping[str, str] | None = None

    async def zones(self) -> Mapping[str, str]:
        """Return the zone of each subnet, if there are several. Raises ``CallFailed``."""
        if len(self._ids) < 2:
            return {}
        if self._zones is None:
            reply = await self._calls.call("DescribeSubnets", {"SubnetIds": list(self._ids)})
            self._zones = {
                each["SubnetId"]: each["AvailabilityZone"] for each in reply.get("Subnets", ())
            }
        return self._zones


def once_in_a_zone(
    candidates: Sequence[Candidate], zones: Mapping[str, str]
) -> tuple[Candidate, ...]:
    """Return the first candidate of each type in each zone."""
    first: dict[tuple[str, str], Candidate] = {}
    for each in candidates:
        first.setdefault((each.instance_type, zones.get(each.place, each.place)), each)
    return tuple(first.values())
