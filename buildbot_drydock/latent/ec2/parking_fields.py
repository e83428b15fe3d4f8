"""The fields of ``EC2Pool`` that say how idle instances are parked, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, Protocol

import pydantic

from buildbot_drydock.latent.ec2.fields import (
    ROOT_DEVICE,
    LaunchTemplateFields,
    SpotFields,
    VolumeFields,
)
from buildbot_drydock.latent.parking_fields import ParkingFields
from buildbot_drydock.latent.problems import Conflict

# "We do not support keeping an instance hibernated for more than 60 days" (EC2 user guide).
LONGEST_HIBERNATION_SECONDS: Final = 60 * 86400.0


class EC2ParkingFields(ParkingFields):
    """What an ``EC2Pool`` has of that."""

    park: Literal["stop", "hibernate"] | None = pydantic.Field(  # type: ignore[assignment]
        default=None,
        description="What becomes of an instance that was idle for idle_timeout. 'stop' stops it, "
        "and 'hibernate' keeps its memory, too; only its volumes are paid for then, and it is "
        "started again for a later lease. None terminates it. Spot instances are terminated in any "
        "case.",
    )


class Pool(Protocol):
    """What of a pool's fields is looked at here."""

    park: Literal["stop", "hibernate"] | None
    park_for: float | None
    spot: SpotFields | None
    launch_template: LaunchTemplateFields | None

    @property
    def volumes(self) -> Sequence[VolumeFields]: ...

    @property
    def instance_types(self) -> Sequence[str]: ...


def conflicts_of_parking(pool: Pool) -> Iterator[Conflict]:
    """Yield what is wrong as far as it can be told without asking EC2."""
    if pool.park is None:
        return
    spot = pool.spot
    if spot is not None and not (spot.on_demand_base or spot.on_demand_fallback):
        yield Conflict(
            ("park", "spot"),
            "all instances are spot instances, which can't be stopped",
            "remove park, or let Spot have on_demand_base or on_demand_fallback",
        )
    if pool.park == "hibernate":
        yield from _conflicts_of_hibernation(pool)


def _conflicts_of_hibernation(pool: Pool) -> Iterator[Conflict]:
    metal = [each for each in pool.instance_types if ".metal" in each]
    if metal:
        yield Conflict(
            ("park", "instance_types"),
            f"{metal[0]} has no hypervisor, and can't hibernate",
            "let park be 'stop', or leave that type out",
        )
    if pool.park_for is None or pool.park_for > LONGEST_HIBERNATION_SECONDS:
        yield Conflict(
            ("park_for", "park"),
            "EC2 does not keep instances hibernated for more than 60 days",
            f"give park_for at most {LONGEST_HIBERNATION_SECONDS:.0f}, or let park be 'stop'",
        )
    root = [each for each in pool.volumes if each.device == ROOT_DEVICE]
    if root and not (root[0].encrypted or root[0].snapshot):
        yield Conflict(
            ("volumes", "park"),
            "the memory is kept on the root volume, which must be encrypted for that",
            "let Volume('root') have encrypted=True, or let park be 'stop'",
        )
    if root and root[0].size is not None:
        return
    if pool.launch_template is None:
        yield Conflict(
            ("volumes", "park"),
            "the memory is kept on the root volume, and nothing says that there is room for it",
            "give volumes a Volume('root', size=...) as large as the image and the memory together",
        )
