"""What a user writes about instances of EC2, beside the pool itself: images, spot, volumes.

Nothing here talks to AWS: what can be judged by its look is judged in ``buildbot checkconfig``, and
the rest when the first instance is launched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

import pydantic

from buildbot_drydock.latent.problems import Conflict, Fields, unit
from buildbot_drydock.latent.written import Written

ROOT_DEVICE: Final = "root"

AMI: Final = r"^ami-([0-9a-f]{8}|[0-9a-f]{17})$"
SNAPSHOT: Final = r"^snap-([0-9a-f]{8}|[0-9a-f]{17})$"

# Which types of volume take iops and throughput, and how many (Amazon EBS user guide, "Amazon EBS
# volume types").
_TAKE_IOPS: Final = {"gp3", "io1", "io2"}
_NEED_IOPS: Final = {"io1", "io2"}
_TAKE_THROUGHPUT: Final = {"gp3"}
_OWNER: Final = re.compile(r"\d{12}|self|amazon|aws-marketplace|aws-backup-vault")


class Image(Written):
    """The newest image of an owner with a name: ``Image(owner='136693071363', name='debian-12-*')``."""


class SSMParameter(Written):
    """The image that a parameter names: ``SSMParameter('/aws/service/debian/release/12/...')``."""

    unnamed = ("name",)


class LaunchTemplate(Written):
    """A launch template: ``LaunchTemplate('builders', version='3')``."""

    unnamed = ("template",)


class Volume(Written):
    """A volume of each instance: ``Volume('root', size=50)``."""

    unnamed = ("device",)


class Spot(Written):
    """That instances are spot instances: ``Spot(max_price=0.1)``."""


class SSM(Written):
    """That instances are reached over AWS Systems Manager: ``SSM(user='admin')``."""


class ImageFields(Fields):
    """The fields of an ``Image``."""

    owner: str = pydantic.Field(
        description="The account that the image is of: twelve digits, `self`, `amazon` or "
        "`aws-marketplace`. Without it anybody could publish an image of that name.",
        json_schema_extra={"remedy": "give owner twelve digits, 'self' or 'amazon'"},
    )
    name: str = pydantic.Field(
        min_length=1,
        description="The image's name, with `*` and `?`; the newest that fits is launched.",
        json_schema_extra={"remedy": "give name a pattern such as 'debian-12-amd64-*'"},
    )
    architecture: Literal["x86_64", "arm64"] | None = pydantic.Field(
        default=None, description="Only images for this architecture."
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if not _OWNER.fullmatch(self.owner):
            yield Conflict(
                ("owner",),
                f"{self.owner!r} is no owner of images",
                "give owner the twelve digits of an account, 'self' or 'amazon'",
            )


class SSMParameterFields(Fields):
    """The fields of an ``SSMParameter``."""

    name: str = pydantic.Field(
        pattern=r"^(/[A-Za-z0-9_.:-]+)+$|^arn:[A-Za-z0-9_.:/-]+$",
        description="The name, or the ARN, of the parameter, whose value is the image's id.",
        json_schema_extra={
            "remedy": "give it the parameter's full name, such as "
            "'/aws/service/debian/release/12/latest/amd64'"
        },
    )


class LaunchTemplateFields(Fields):
    """The fields of a ``LaunchTemplate``."""

    template: str = pydantic.Field(
        pattern=r"^[A-Za-z0-9().\-/_]{3,128}$",
        description="Its name, or its id `lt-...`.",
        json_schema_extra={"remedy": "give it the name of a template, or its id 'lt-...'"},
    )
    version: str = pydantic.Field(
        default="$Default",
        pattern=r"^(\d+|\$Latest|\$Default)$",
        description="Its version: a number as a text, `$Latest` or `$Default`.",
        json_schema_extra={"remedy": "give version '$Default', '$Latest' or a number as a text"},
    )

    @property
    def specification(self) -> dict[str, str]:
        """As the API takes it."""
        kind = "LaunchTemplateId" if self.template.startswith("lt-") else "LaunchTemplateName"
        return {kind: self.template, "Version": self.version}


class VolumeFields(Fields):
    """The fields of a ``Volume``. All are deleted with the instance."""

    device: str = pydantic.Field(
        pattern=r"^(root|/dev/[a-z0-9]+|xvd[a-z]+)$",
        description="`root`, whatever that is called in the image, or a device such as `/dev/sdf`.",
        json_schema_extra={"remedy": "give device 'root' or a device such as '/dev/sdf'"},
    )
    size: int | None = pydantic.Field(
        default=None,
        ge=1,
        le=65_536,
        description="None is that of the snapshot.",
        json_schema_extra=unit("GiB"),
    )
    type: Literal["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"] = pydantic.Field(
        default="gp3", description="The type of volume."
    )
    iops: int | None = pydantic.Field(
        default=None,
        ge=100,
        description="Input and output operations, for gp3, io1 and io2.",
        json_schema_extra=unit("per second"),
    )
    throughput: int | None = pydantic.Field(
        default=None,
        ge=125,
        description="Throughput, for gp3.",
        json_schema_extra=unit("MiB per second"),
    )
    encrypted: bool = pydantic.Field(default=True, description="Whether it is encrypted.")
    kms_key: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="With which key; the account's default if not given.",
    )
    snapshot: str | None = pydantic.Field(
        default=None,
        pattern=SNAPSHOT,
        description="The snapshot that it is made from.",
        json_schema_extra={
            "remedy": "give snapshot the id of one, such as 'snap-0123456789abcdef0'"
        },
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if self.size is None and self.snapshot is None and self.device != ROOT_DEVICE:
            yield Conflict(
                ("size", "snapshot"),
                f"volume {self.device} has neither a size nor a snapshot",
                "give it a size in GiB, or a snapshot",
            )
        if self.iops is not None and self.type not in _TAKE_IOPS:
            yield Conflict(
                ("iops", "type"), f"a {self.type} volume takes no iops", "remove iops, or use gp3"
            )
        if self.iops is None and self.type in _NEED_IOPS:
            yield Conflict(
                ("iops", "type"), f"an {self.type} volume needs iops", "give iops, or use gp3"
            )
        if self.throughput is not None and self.type not in _TAKE_THROUGHPUT:
            yield Conflict(
                ("throughput", "type"),
                f"a {self.type} volume takes no throughput",
                "remove throughput, or use gp3",
            )
        if self.kms_key is not None and not self.encrypted:
            yield Conflict(
                ("kms_key", "encrypted"),
                "there is a key, and the volume is not to be encrypted",
                "remove kms_key or encrypted=False",
            )


class SpotFields(Fields):
    """The fields of a ``Spot``."""

    max_price: float | None = pydantic.Field(
        default=None,
        gt=0,
        description="The most to pay for an hour of an instance. None is the on-demand price, "
        "which AWS recommends.",
        json_schema_extra=unit("USD per hour"),
    )
    strategy: Literal[
        "price-capacity-optimized",
        "capacity-optimized",
        "capacity-optimized-prioritized",
        "lowest-price",
        "diversified",
    ] = pydantic.Field(
        default="price-capacity-optimized",
        description="How EC2 chooses among the types and places that have capacity. "
        "'capacity-optimized-prioritized' heeds their order, 'lowest-price' is interrupted the most.",
    )
    on_demand_base: int = pydantic.Field(
        default=0,
        ge=0,
        description="How many of the pool's instances are on-demand ones in any case: those with "
        "the lowest places.",
        json_schema_extra=unit("instances"),
    )
    on_demand_fallback: bool = pydantic.Field(
        default=True,
        description="Whether an on-demand instance is launched if there is no spot capacity.",
    )
    interruption_queue: str | None = pydantic.Field(
        default=None,
        pattern=r"^https?://[^/\s]+/\S+$",
        description="The URL of an SQS queue that EventBridge sends EC2's warnings to, so that they "
        "are heard at once. Without it they are asked for with each listing.",
        json_schema_extra={
            "remedy": "give interruption_queue a URL such as "
            "'https://sqs.eu-central-1.amazonaws.com/123456789012/drydock'"
        },
    )
    rebalance: Literal["ignore", "drain"] = pydantic.Field(
        default="ignore",
        description="What to do about an instance that EC2 recommends to replace, as it may be "
        "interrupted soon. That is told by the queue alone.",
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        if self.rebalance != "ignore" and self.interruption_queue is None:
            yield Conflict(
                ("rebalance", "interruption_queue"),
                "recommendations are heard from a queue, and there is none",
                "give interruption_queue, or let rebalance be 'ignore'",
            )


class SSMFields(Fields):
    """The fields of ``SSM``."""

    user: str = pydantic.Field(
        pattern=r"^[a-z_][a-z0-9_.-]*$",
        description="The account on the instances that workers run as, such as the one that the "
        "image makes. Systems Manager itself is root there.",
        json_schema_extra={
            "remedy": "give user the image's own, such as 'admin' for Debian, 'ubuntu' or 'ec2-user'"
        },
    )
