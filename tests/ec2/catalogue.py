"""What an account has before anything is launched: images, parameters, keys, profiles, networks."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from moto.ec2.models.amis import Ami

from . import moto_parts
from .cloud import Cloud

DEBIAN = "136693071363"
"""The owner of the images that the catalogue has from the start."""


class Catalogue:
    """Images, SSM parameters and what else a launch names. All of it can be added to by the test.

    From the start there are three images of owner `DEBIAN`, named `debian-12-amd64-2025...`, the
    newest of them `newest_image`; one for arm64, `arm_image`; and the SSM parameter
    `/images/debian-12` with the id of the newest one.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._moto = cloud.moto
        self._images = 0
        self.images = [
            self.add_image(f"debian-12-amd64-2025{month:02d}01", created=_first_of(month))
            for month in (3, 6, 9)
        ]
        self.newest_image = self.images[-1]
        self.arm_image = self.add_image(
            "debian-12-arm64-20250901", created=_first_of(9), architecture="arm64"
        )
        self.parameter = "/images/debian-12"
        self.set_parameter(self.parameter, self.newest_image)

    def add_image(
        self,
        name: str,
        *,
        owner: str = DEBIAN,
        created: datetime = datetime(2025, 1, 1, tzinfo=timezone.utc),
        architecture: str = "x86_64",
        state: str = "available",
    ) -> str:
        """Register an image; returns its id. An owner of `self` is the account."""
        self._images += 1
        image = Ami(
            self._moto,
            f"ami-{self._images:017x}",
            name=name,
            owner_id=self._cloud.account if owner == "self" else owner,
            creation_date=created.replace(tzinfo=None),
            architecture=architecture,
            virtualization_type="hvm",
            root_device_type="ebs",
            root_device_name="/dev/xvda",
            state=state,
        )
        self._moto.amis[image.id] = image
        return str(image.id)

    def remove_image(self, image_id: str) -> None:
        """Take an image away."""
        del self._moto.amis[image_id]

    def set_parameter(self, name: str, value: str) -> None:
        """Set an SSM parameter."""
        moto_parts.parameters_of(self._cloud.account, self._cloud.region).put_parameter(
            name=name,
            description="",
            value=value,
            parameter_type="String",
            allowed_pattern=None,
            keyid=None,
            overwrite=True,
            tags=[],
            data_type="text",
            tier=None,
            policies=None,
        )

    def subnets(self) -> dict[str, str]:
        """The default subnet of each zone: {zone: id}."""
        return {zone: one.id for zone, one in sorted(self._moto.get_default_subnets().items())}

    def add_subnet(self, cidr: str, zone: str, *, public: bool = False) -> str:
        """Make a VPC with one subnet, which gives instances public addresses or doesn't."""
        vpc = self._moto.create_vpc(cidr)
        subnet = self._moto.create_subnet(vpc.id, cidr, availability_zone=zone)
        subnet.map_public_ip_on_launch = public
        return str(subnet.id)

    def default_group(self) -> str:
        """The security group of the default VPC."""
        vpc = self._moto.get_default_vpc()
        return str(self._moto.get_security_group_from_name("default", vpc.id).id)

    def add_group(self, name: str) -> str:
        """Make a security group in the default VPC; returns its id."""
        vpc = self._moto.get_default_vpc()
        return str(self._moto.create_security_group(name, name, vpc_id=vpc.id).id)

    def add_key_pair(self, name: str) -> None:
        """Make a key pair."""
        self._moto.create_key_pair(name, "ed25519", {})

    def add_instance_profile(self, name: str) -> str:
        """Make an IAM instance profile; returns its ARN."""
        iam = moto_parts.iam_of(self._cloud.account)
        return str(iam.create_instance_profile(name, "/", []).arn)

    def add_queue(self, name: str) -> str:
        """Make an SQS queue to which EventBridge sends EC2's warnings; returns its ARN.

        Its URL is what `get_queue_url` answers for the name.
        """
        queue = moto_parts.queues_of(self._cloud.account, self._cloud.region).create_queue(name, {})
        events = moto_parts.events_of(self._cloud.account, self._cloud.region)
        pattern: dict[str, Any] = {
            "source": ["aws.ec2"],
            "detail-type": [
                "EC2 Spot Instance Interruption Warning",
                "EC2 Instance Rebalance Recommendation",
            ],
        }
        events.put_rule(name=name, event_pattern=json.dumps(pattern))
        events.put_targets(name, None, [{"Id": "queue", "Arn": queue.queue_arn}])
        return str(queue.queue_arn)


def _first_of(month: int) -> datetime:
    return datetime(2025, month, 1, tzinfo=timezone.utc)
