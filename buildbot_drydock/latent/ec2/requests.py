"""The request that launches an instance, and what fleets have in common with it.

Pure: the same host leads to the same request.

EC2 answers a request that it knows by its client token with the instance that it has launched for
it, if all other parameters are the same too ("Ensuring idempotency in Amazon EC2 API requests").
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from buildbot_drydock.latent.ec2.candidates import Candidate, Market
from buildbot_drydock.latent.ec2.fields import ROOT_DEVICE, VolumeFields

TOKEN_TAG: Final = "drydock:token"
INSTALLATION_TAG: Final = "drydock:installation"
BLUEPRINT_TAG: Final = "drydock:blueprint"
OUR_TAGS: Final = (TOKEN_TAG, INSTALLATION_TAG, BLUEPRINT_TAG)
_NAME_TAG: Final = "Name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Whose instances they are: what tells them from all others in the account."""

    installation: str
    blueprint: str

    def tags(self, token: str) -> dict[str, str]:
        return {
            TOKEN_TAG: token,
            INSTALLATION_TAG: self.installation,
            BLUEPRINT_TAG: self.blueprint,
        }

    def filters(self, token: str | None = None) -> list[dict[str, Any]]:
        """Return what finds the pool's instances in a listing, or those of one token."""
        tags = self.tags(token or "")
        return [
            {"Name": f"tag:{name}", "Values": [value]}
            for name, value in tags.items()
            if name != TOKEN_TAG or token is not None
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """An image as it was found: what of it a request needs."""

    id: str
    root_device: str = ""
    devices: tuple[str, ...] = ()  # those that get a volume, the root included
    architecture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What all instances of a pool have in common."""

    launch_template: Mapping[str, str] | None = None
    places_are_zones: bool = False
    volumes: tuple[VolumeFields, ...] = ()
    encrypted: bool = True  # the volumes that the image itself has
    instance_profile: str | None = None
    security_groups: tuple[str, ...] = ()
    key_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    require_imdsv2: bool = True
    metadata_hops: int = 1
    associate_public_ip: bool | None = None
    max_price: float | None = None  # for an hour of a spot instance
    hibernates: bool = False  # on demand ones are launched so that they can
    strategy: str = "price-capacity-optimized"  # by which EC2 chooses among spot candidates


def client_token(pool: Pool, token: str, number: int = 0) -> str:
    """Return what EC2 knows the n-th request for a host by: 64 characters at most.

    It says nothing of what is asked for, so that a second request that asks for something else is
    refused, and launches no second instance.
    """
    parts = (pool.installation, pool.blueprint, token, number)
    return f"drydock-{hashlib.sha256(repr(parts).encode()).hexdigest()[:48]}"


def run_instances(
    settings: Settings,
    pool: Pool,
    token: str,
    candidate: Candidate,
    image: FoundImage | None,
    user_data: str,
) -> dict[str, Any]:
    """Return the parameters of RunInstances. Without an image the launch template has it."""
    request: dict[str, Any] = {
        "ClientToken": client_token(pool, token),
        "MinCount": 1,
        "MaxCount": 1,
        "InstanceType": candidate.instance_type,
        "UserData": user_data,
        **configuration(settings, image, candidate.market),
        **network(settings, "" if settings.places_are_zones else candidate.place),
        "TagSpecifications": tag_specifications(settings, pool, token, ("instance", "volume")),
    }
    if candidate.place and settings.places_are_zones:
        request["Placement"] = {"AvailabilityZone": candidate.place}
    if settings.launch_template is not None:
        request["LaunchTemplate"] = dict(settings.launch_template)
    return request


def configuration(settings: Settings, image: FoundImage | None, market: Market) -> dict[str, Any]:
    """Return what an instance is like wherever it is launched, and of whatever type."""
    found: dict[str, Any] = {
        # What the dead-man switch does must end the instance, and not only stop it.
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required" if settings.require_imdsv2 else "optional",
            "HttpPutResponseHopLimit": settings.metadata_hops,
        },
    }
    if settings.hibernates and market is Market.ON_DEMAND:
        found["HibernationOptions"] = {"Configured": True}
    if image is not None:
        found["ImageId"] = image.id
    if mappings := _block_devices(settings, image):
        found["BlockDeviceMappings"] = mappings
    if settings.instance_profile is not None:
        kind = "Arn" if settings.instance_profile.startswith("arn:") else "Name"
        found["IamInstanceProfile"] = {kind: settings.instance_profile}
    if settings.key_name is not None:
        found["KeyName"] = settings.key_name
    return found


def network(settings: Settings, subnet: str = "") -> dict[str, Any]:
    """Return how an instance is connected, in a subnet if one is given."""
    found: dict[str, Any] = {}
    if settings.associate_public_ip is not None:
        # Only an interface says whether there is a public address; then it has the rest as well.
        interface: dict[str, Any] = {
            "DeviceIndex": 0,
            "AssociatePublicIpAddress": settings.associate_public_ip,
            "DeleteOnTermination": True,
        }
        if subnet:
            interface["SubnetId"] = subnet
        if settings.security_groups:
            interface["Groups"] = list(settings.security_groups)
        return {"NetworkInterfaces": [interface]}
    if subnet:
        found["SubnetId"] = subnet
    if settings.security_groups:
        found["SecurityGroupIds"] = list(settings.security_groups)
    return found


def tag_specifications(
    settings: Settings, pool: Pool, token: str, kinds: Sequence[str]
) -> list[dict[str, Any]]:
    tags = {_NAME_TAG: f"{pool.blueprint} {token}", **settings.tags, **pool.tags(token)}
    listed = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    return [{"ResourceType": kind, "Tags": list(listed)} for kind in kinds]


def _block_devices(settings: Settings, image: FoundImage | None) -> list[dict[str, Any]]:
    """Return the volumes asked for, and that the image's others are encrypted."""
    found: dict[str, dict[str, Any]] = {}
    for device in image.devices if image is not None and settings.encrypted else ():
        found[device] = {"Encrypted": True, "DeleteOnTermination": True}
    for volume in settings.volumes:
        device = volume.device
        if device == ROOT_DEVICE and image is not None:
            device = image.root_device
        found[device] = _volume(volume)
    return [{"DeviceName": device, "Ebs": volume} for device, volume in found.items()]


def _volume(volume: VolumeFields) -> dict[str, Any]:
    given = {
        "VolumeSize": volume.size,
        "VolumeType": volume.type,
        "Iops": volume.iops,
        "Throughput": volume.throughput,
        "SnapshotId": volume.snapshot,
        "KmsKeyId": volume.kms_key,
        # One that is made from an encrypted snapshot can't be told to be plain.
        "Encrypted": volume.encrypted or None,
    }
    return {
        **{key: value for key, value in given.items() if value is not None},
        "DeleteOnTermination": True,
    }
