"""What EC2 says of instances, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from buildbot_drydock.latent.ec2.candidates import Market
from buildbot_drydock.latent.ec2.requests import TOKEN_TAG, Pool

# All states but the one in which an instance costs nothing and runs nothing any more.
LIVING_STATES: Final = ("pending", "running", "stopping", "stopped", "shutting-down")
PAGE_SIZE: Final = 1000  # the most that DescribeInstances takes
# RunInstances reports a lack of capacity that it learns of later as the reason of a state.
NO_REASON: Final = "no reason was given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance as it was listed."""

    id: str
    token: str
    state: str
    private_address: str = ""
    public_address: str = ""
    launched_at: float | None = None  # or started again; seconds since the epoch
    instance_type: str = ""
    zone: str = ""
    market: Market = Market.ON_DEMAND
    image: str = ""
    spot_request: str = ""
    state_reason: str = ""
    subnet: str = ""
    root_device_type: str = ""
    hibernates: bool = False  # it was launched so that it can
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_living(self) -> bool:
        return self.state in LIVING_STATES

    def is_of(self, pool: Pool, token: str) -> bool:
        """Tell whether it bears all the tags of a token of the pool."""
        return all(self.tags.get(name) == value for name, value in pool.tags(token).items())

    def address(self, reach: str) -> str:
        return self.public_address if reach == "public" else self.private_address


def request_for_all(pool: Pool) -> dict[str, Any]:
    """Return the parameters of DescribeInstances that list the living instances of a pool."""
    states = {"Name": "instance-state-name", "Values": list(LIVING_STATES)}
    return {"Filters": [*pool.filters(), states], "MaxResults": PAGE_SIZE}


def instances(pages: Iterable[Mapping[str, Any]]) -> Iterator[Instance]:
    """Yield the instances in replies of DescribeInstances, or of RunInstances."""
    for page in pages:
        for reservation in page.get("Reservations", [page]):
            for described in reservation.get("Instances", ()):
                yield instance(described)


def instance(described: Mapping[str, Any]) -> Instance:
    tags = {each["Key"]: each["Value"] for each in described.get("Tags", ())}
    launched: datetime | None = described.get("LaunchTime")
    reason = described.get("StateReason") or {}
    is_spot = described.get("InstanceLifecycle") == "spot"
    return Instance(
        id=described["InstanceId"],
        token=tags.get(TOKEN_TAG, ""),
        state=(described.get("State") or {}).get("Name", "pending"),
        private_address=described.get("PrivateIpAddress") or "",
        public_address=described.get("PublicIpAddress") or "",
        launched_at=None if launched is None else launched.timestamp(),
        instance_type=described.get("InstanceType") or "",
        zone=(described.get("Placement") or {}).get("AvailabilityZone") or "",
        market=Market.SPOT if is_spot else Market.ON_DEMAND,
        image=described.get("ImageId") or "",
        spot_request=described.get("SpotInstanceRequestId") or "",
        subnet=described.get("SubnetId") or "",
        root_device_type=described.get("RootDeviceType") or "",
        hibernates=bool((described.get("HibernationOptions") or {}).get("Configured")),
        state_reason=": ".join(filter(None, [reason.get("Code"), reason.get("Message")])),
        tags=tags,
    )
