"""The fields of ``EC2Pool``, and what is wrong between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import pydantic

from buildbot_drydock.latent.ec2 import userdata
from buildbot_drydock.latent.ec2.candidates import Candidate, Market, candidates, markets
from buildbot_drydock.latent.ec2.field_values import (
    GroupId,
    SubnetId,
    as_image,
    as_volumes,
    listing,
    some,
)
from buildbot_drydock.latent.ec2.fields import (
    ROOT_DEVICE,
    SSM,
    ImageFields,
    LaunchTemplate,
    LaunchTemplateFields,
    Spot,
    SpotFields,
    SSMFields,
    SSMParameterFields,
    VolumeFields,
)
from buildbot_drydock.latent.ec2.fleets import MOST_CANDIDATES
from buildbot_drydock.latent.ec2.parking_fields import EC2ParkingFields, conflicts_of_parking
from buildbot_drydock.latent.ec2.prices import known_beforehand
from buildbot_drydock.latent.hosts_fields import SSH, SSHFields
from buildbot_drydock.latent.problems import Conflict, unit
from buildbot_drydock.latent.ssh_pool import SSHPoolFields
from buildbot_drydock.latent.written import made, sequence

_SIGNS_PER_LIFE: Final = 4  # of a dead-man switch, so that one or two may be lost
_LONGEST_SIGN_INTERVAL: Final = 900.0
_LONGEST_OVER_SSM: Final = 3600.0  # where each takes some calls of AWS
_MOST_TAGS: Final = 45  # of the 50 that a resource may have, some are ours
_REGION: Final = r"^[a-z]{2}(-[a-z]+)+-\d$"
_ZONE: Final = r"^[a-z]{2}(-[a-z0-9]+)+[a-z]$"


class EC2PoolFields(SSHPoolFields, EC2ParkingFields):
    """The fields of ``EC2Pool``."""

    minimum_billing: float = pydantic.Field(
        default=60.0,  # "billed per second, with a minimum of 60 seconds" (EC2 On-Demand Pricing)
        ge=0,
        description="How long an instance is paid for in any case; 60 seconds, but for some operating "
        "systems. Within this time from its request it is not let go for being idle.",
        json_schema_extra=unit("seconds"),
    )
    region: str = pydantic.Field(
        pattern=_REGION,
        description="The region that the instances are in.",
        json_schema_extra={"values": "a text", "remedy": "give region one such as 'eu-central-1'"},
    )
    image: Annotated[
        str | ImageFields | SSMParameterFields | None, pydantic.BeforeValidator(as_image)
    ] = pydantic.Field(
        default=None,
        description="The image: its id, an `Image` or an `SSMParameter`. It is looked up when the "
        "first instance is launched, and every ten minutes. None leaves it to the launch template.",
        json_schema_extra={
            "values": "an image's id, an Image or an SSMParameter",
            "remedy": "give image an id such as 'ami-0123456789abcdef0', Image(owner='136693071363', "
            "name='debian-12-amd64-*') or SSMParameter('/aws/service/debian/release/12/latest/amd64')",
        },
    )
    instance_types: Annotated[
        tuple[Annotated[str, pydantic.Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")], ...],
        pydantic.BeforeValidator(some),
    ] = pydantic.Field(
        description="The types of instance that would do, the best first. If there is no capacity "
        "of one, the next is launched at once.",
        json_schema_extra=listing("types", "['m7i.large', 'm6i.large']", "instance_types"),
    )
    subnets: Annotated[tuple[SubnetId, ...], pydantic.BeforeValidator(sequence)] = pydantic.Field(
        default=(),
        description="The subnets to launch in, the best first: ids.",
        json_schema_extra=listing("subnets' ids", "['subnet-0123456789abcdef0']", "subnets"),
    )
    zones: Annotated[
        tuple[Annotated[str, pydantic.Field(pattern=_ZONE)], ...],
        pydantic.BeforeValidator(sequence),
    ] = pydantic.Field(
        default=(),
        description="The zones to launch in, in the default VPC, instead of subnets.",
        json_schema_extra=listing("zones", "['eu-central-1a', 'eu-central-1b']", "zones"),
    )
    launch_template: Annotated[
        LaunchTemplateFields | None,
        pydantic.BeforeValidator(made(LaunchTemplate, LaunchTemplateFields)),
    ] = pydantic.Field(
        default=None,
        description="A `LaunchTemplate`, for what is not said here. What is said here, and the user "
        "data, replaces what it says.",
        json_schema_extra={
            "values": "a LaunchTemplate",
            "remedy": "give launch_template one, such as LaunchTemplate('builders')",
        },
    )
    spot: Annotated[SpotFields | None, pydantic.BeforeValidator(made(Spot, SpotFields))] = (
        pydantic.Field(
            default=None,
            description="A `Spot`, for spot instances. None is on-demand ones.",
            json_schema_extra={"values": "a Spot", "remedy": "give spot a Spot, such as Spot()"},
        )
    )
    volumes: Annotated[tuple[VolumeFields, ...], pydantic.BeforeValidator(as_volumes)] = (
        pydantic.Field(
            default=(),
            description="The volumes that are not as the image has them: a list of `Volume`.",
            json_schema_extra=listing("Volume", "[Volume('root', size=50)]", "volumes"),
        )
    )
    encrypted: bool = pydantic.Field(
        default=True,
        description="Whether the volumes of the image are encrypted, if `volumes` does not say.",
    )
    instance_profile: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="The instance profile, by its name or ARN, that gives the instances a role.",
    )
    security_groups: Annotated[tuple[GroupId, ...], pydantic.BeforeValidator(sequence)] = (
        pydantic.Field(
            default=(),
            description="The security groups, by their ids. They let the master in at the SSH port.",
            json_schema_extra=listing("groups' ids", "['sg-0123456789abcdef0']", "security_groups"),
        )
    )
    key_name: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="A key pair of EC2, to log in by hand. The master needs none.",
    )
    user_data: str = pydantic.Field(
        default="",
        description="What cloud-init does on an instance: a script that begins with `#!`, or a "
        "`#cloud-config`. `@TOKEN@`, `@BLUEPRINT@`, `@INSTALLATION@` and `@REGION@` are replaced. "
        "Whoever may run builds can read it: put no secrets there.",
        json_schema_extra={
            "writeOnly": True,
            "remedy": "begin user_data with '#!/bin/sh' or '#cloud-config'",
        },
    )
    tags: dict[str, str] = pydantic.Field(
        default_factory=dict,
        description="Tags of the instances and their volumes, beside ours.",
        json_schema_extra={
            "values": "a dictionary of texts",
            "remedy": "give tags a dictionary such as {'team': 'builds'}",
        },
    )
    imdsv2: Literal["required", "optional"] = pydantic.Field(
        default="required",
        description="Whether the instance's metadata is told only to those who ask by IMDSv2.",
    )
    metadata_hops: int = pydantic.Field(
        default=1,
        ge=1,
        le=64,
        description="How far the answers about metadata get; containers need 2.",
    )
    associate_public_ip: bool | None = pydantic.Field(
        default=None,
        description="Whether an instance gets a public address. None leaves it to the subnet.",
    )
    reach: Literal["private", "public", "ssm"] = pydantic.Field(
        default="private",
        description="How the master reaches an instance: over SSH at its private or public "
        "address, or over AWS Systems Manager, which needs no open port.",
    )
    ssm: Annotated[SSMFields | None, pydantic.BeforeValidator(made(SSM, SSMFields))] = (
        pydantic.Field(
            default=None,
            description="With `reach='ssm'`: an `SSM` with the user that workers run as.",
            json_schema_extra={
                "values": "an SSM",
                "remedy": "give ssm the image's user, such as SSM(user='admin')",
            },
        )
    )
    ssh: Annotated[SSHFields, pydantic.BeforeValidator(made(SSH, SSHFields))] = pydantic.Field(
        default_factory=SSHFields,
        description="How to reach the instances: an `SSH` with at least a `user`, the one that the "
        "image makes. Keys are made by the master; those given here are tried after them.",
        json_schema_extra={
            "values": "an SSH",
            "remedy": "give ssh an SSH with the image's user, such as SSH(user='admin')",
        },
    )
    dead_man_hours: float | None = pydantic.Field(
        default=12.0,
        gt=0,
        description="An instance that has heard nothing from a master for so long ends itself. "
        "None lets it run.",
        json_schema_extra=unit("hours"),
    )
    prices: dict[str, Annotated[float, pydantic.Field(ge=0)]] = pydantic.Field(
        default_factory=dict,
        description="What an hour of a type costs on demand. Spot prices are looked up.",
        json_schema_extra={
            "values": "a dictionary of numbers",
            "unit": "USD per hour",
            "remedy": "give prices a dictionary such as {'m7i.large': 0.1008}",
        },
    )
    profile: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="A profile of ~/.aws/config. Without it credentials are found as boto3 does.",
    )
    role_arn: str | None = pydantic.Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$",
        description="A role to assume with these credentials, such as one of another account.",
        json_schema_extra={
            "remedy": "give role_arn an ARN such as 'arn:aws:iam::123456789012:role/builds'"
        },
    )
    external_id: str | None = pydantic.Field(
        default=None, min_length=2, description="The external id that the role asks for."
    )
    endpoint_url: str | None = pydantic.Field(
        default=None,
        pattern=r"^https?://.+$",
        description="Where the API is, if it is not AWS.",
        json_schema_extra={"remedy": "give endpoint_url a URL such as 'https://ec2.example.org'"},
    )
    listing_delay: float = pydantic.Field(
        default=60.0,
        ge=0,
        description="How long a new instance may be missing from what EC2 lists.",
        json_schema_extra=unit("seconds"),
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        yield from self._conflicts_of_places()
        yield from self._conflicts_of_image()
        yield from self._conflicts_of_access()
        yield from self._conflicts_of_user_data()
        yield from self._conflicts_of_tags()
        yield from self._conflicts_of_prices()
        yield from conflicts_of_parking(self)
        if "choices" in self.model_fields_set:
            yield Conflict(
                ("choices",), "nothing of an instance is left to be chosen", "remove choices"
            )

    def _conflicts_of_places(self) -> Iterator[Conflict]:
        if self.subnets and self.zones:
            yield Conflict(
                ("zones", "subnets"), "subnets are given, too", "remove zones: a subnet is in one"
            )
        strangers = [zone for zone in self.zones if not zone.startswith(self.region)]
        if strangers:
            yield Conflict(
                ("zones", "region"),
                f"{strangers[0]} is not in {self.region}",
                f"give zones of {self.region}, such as '{self.region}a'",
            )

        if len(self.instance_types) * max(1, len(self.places)) > MOST_CANDIDATES:
            yield Conflict(
                ("instance_types", "subnets", "zones"),
                f"{len(self.instance_types)} types in {len(self.places)} places are more than the "
                f"{MOST_CANDIDATES} that EC2 takes at once",
                "give fewer of them",
            )

    def _conflicts_of_image(self) -> Iterator[Conflict]:
        if self.image is None and self.launch_template is None:
            yield Conflict(
                ("image", "launch_template"),
                "there is no image, and no launch template that could have one",
                "give image an id such as 'ami-0123456789abcdef0', an Image or an SSMParameter",
            )
        devices = [volume.device for volume in self.volumes]
        if twice := sorted({each for each in devices if devices.count(each) > 1}):
            yield Conflict(
                ("volumes",), f"{twice[0]} is given twice", "give each device one volume"
            )
        if self.image is None and ROOT_DEVICE in devices:
            yield Conflict(
                ("volumes", "image"),
                "what the root device is called is told by the image, and there is none here",
                "give image, or name the device as the launch template's image does",
            )

    def _conflicts_of_access(self) -> Iterator[Conflict]:
        yield from self._conflicts_of_ssm()
        if self.ssh.user is None and self.reach != "ssm":
            yield Conflict(
                ("ssh",),
                "nothing says whom to log in as",
                "give ssh the user that the image makes, such as SSH(user='admin') for Debian, "
                "'ubuntu' or 'ec2-user'",
            )
        if self.ssh.jump and not (self.ssh.known_hosts or self.ssh.host_authority):
            yield Conflict(
                ("ssh",),
                f"there is no way to verify the host key of {self.ssh.jump}",
                "give ssh known_hosts, or host_authority",
            )
        if self.reach == "public" and self.associate_public_ip is False:
            yield Conflict(
                ("reach", "associate_public_ip"),
                "instances without a public address can't be reached at one",
                "let associate_public_ip be True, or reach 'private'",
            )
        if self.external_id is not None and self.role_arn is None:
            yield Conflict(
                ("external_id", "role_arn"), "there is no role", "give role_arn, or remove it"
            )

    def _conflicts_of_ssm(self) -> Iterator[Conflict]:
        if self.reach != "ssm":
            if self.ssm is not None:
                yield Conflict(
                    ("ssm", "reach"),
                    f"reach is {self.reach!r}, so it is not used",
                    "let reach be 'ssm', or remove ssm",
                )
            return
        if self.ssm is None:
            yield Conflict(
                ("ssm", "reach"),
                "nothing says whom workers run as",
                "give ssm the image's user, such as SSM(user='admin')",
            )
        if self.ssh.tunnel_to is not None:
            yield Conflict(
                ("ssh", "reach"),
                "there is no tunnel over SSM, so tunnel_to can't be used",
                "let workers reach the master by themselves and remove tunnel_to, or let reach be "
                "'private' or 'public'",
            )
        elif "ssh" in self.model_fields_set:
            yield Conflict(
                ("ssh", "reach"),
                "instances that are reached over SSM are not logged in to",
                "remove ssh, and give its user to ssm",
            )

    def _conflicts_of_user_data(self) -> Iterator[Conflict]:
        text = self.user_data
        if text and not userdata.is_known_kind(text):
            yield Conflict(
                ("user_data",),
                "cloud-init would not know what to do with it",
                "begin it with '#!/bin/sh', or with '#cloud-config'",
            )
        size = len(text.encode())
        if size > userdata.MOST_BYTES_OF_TEMPLATE:
            yield Conflict(
                ("user_data",),
                f"it has {size} bytes, and {userdata.MOST_BYTES_OF_TEMPLATE} are left for it",
                "let it fetch the rest, or make an image that has it",
            )
        if unknown := userdata.unknown_variables(text):
            names = ", ".join(f"@{name}@" for name in userdata.VARIABLES)
            yield Conflict(("user_data",), f"there is no @{unknown[0]}@", f"write one of {names}")

    def _conflicts_of_tags(self) -> Iterator[Conflict]:
        for key, value in self.tags.items():
            if key.lower().startswith(("aws:", "drydock:")):
                yield Conflict(
                    ("tags",), f"{key!r} begins with what is reserved", "call that tag otherwise"
                )
            if not 0 < len(key) <= 128 or len(value) > 256:
                yield Conflict(
                    ("tags",),
                    f"{key[:20]!r} is too long, or empty",
                    "give names up to 128 characters, values up to 256",
                )
        if len(self.tags) > _MOST_TAGS:
            yield Conflict(("tags",), f"there are {len(self.tags)}", f"give at most {_MOST_TAGS}")

    def _conflicts_of_prices(self) -> Iterator[Conflict]:
        if strangers := sorted(set(self.prices) - set(self.instance_types)):
            yield Conflict(
                ("prices", "instance_types"),
                f"{', '.join(strangers)} is priced, and not in instance_types",
                "give prices the types that are",
            )
        for field, limit in self.cost_limits().items():
            yield from self._conflicts_of_limit(field, limit)

    def _conflicts_of_limit(self, field: str, limit: float) -> Iterator[Conflict]:
        most = None if self.spot is None else self.spot.max_price
        prices = {each: known_beforehand(each, self.prices, most) for each in self.all_candidates}
        unknown = [each for each, price in prices.items() if price is None]
        if unknown:
            yield Conflict(
                (field, "prices"),
                f"nothing says what {unknown[0]} may cost",
                "give prices each of the instance_types",
            )
        dearest = max((price for price in prices.values() if price is not None), default=0.0)
        if dearest > limit:
            yield Conflict(
                (field, "prices"),
                f"an hour of one instance costs {dearest:g}, more than {limit:g}",
                f"raise {field} to {dearest:g} or more, or leave that type out",
            )

    @property
    def user(self) -> str:
        """Whom workers run as."""
        user = self.ssh.user if self.ssm is None else self.ssm.user
        assert user is not None
        return user

    @property
    def address_kind(self) -> str:
        """Which address an instance is told apart by."""
        return "public" if self.reach == "public" else "private"

    @property
    def sign_interval(self) -> float | None:
        """How often an instance gets a sign of life, in seconds; ``None`` without a switch."""
        if self.dead_man_hours is None:
            return None
        longest = _LONGEST_OVER_SSM if self.reach == "ssm" else _LONGEST_SIGN_INTERVAL
        return min(longest, self.dead_man_hours * 3600 / _SIGNS_PER_LIFE)

    @property
    def places(self) -> tuple[str, ...]:
        """Subnets or zones; none for wherever AWS likes."""
        return self.subnets or self.zones

    @property
    def by_fleet(self) -> bool:
        """Whether there is anything for EC2 to choose from."""
        return self.spot is not None or len(self.instance_types) * len(self.places or ("",)) > 1

    @property
    def all_candidates(self) -> tuple[Candidate, ...]:
        """What may be launched for any resource of the pool."""
        spot = self.spot
        tried = [Market.SPOT] if spot is not None else [Market.ON_DEMAND]
        if spot is not None and (spot.on_demand_fallback or spot.on_demand_base):
            tried.append(Market.ON_DEMAND)
        return candidates(self.instance_types, self.places, tried)

    def candidates(self, place: int) -> tuple[Candidate, ...]:
        """Return what may be launched for the resource at a place of the pool, in order."""
        spot = self.spot
        tried = markets(
            spot=spot is not None,
            on_demand_base=spot.on_demand_base if spot is not None else 0,
            fallback=spot is not None and spot.on_demand_fallback,
            place=place,
        )
        return candidates(self.instance_types, self.places, tried)
