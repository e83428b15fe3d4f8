"""What a call asks to be launched: parameters and launch template in one, checked as documented."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.types import Base64EncodedString

from . import moto_parts
from .cloud import Cloud
from .problems import EC2Error, bad_combination, bad_value

Request = dict[str, Any]

LARGEST_USER_DATA = 16384
TAGGABLE = frozenset({"instance", "volume", "network-interface", "spot-instances-request"})
# Of the parameters of a call, these say how to launch and not what.
_ABOUT_THE_CALL = frozenset(
    {"ClientToken", "DryRun", "LaunchTemplate", "MaxCount", "MinCount", "Action", "Version"}
)


def plain(value: Any) -> Any:
    """moto's parsed parameters as ordinary dictionaries and lists, in the client's spelling."""
    if hasattr(value, "original_dict"):
        value = value.original_dict()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Base64EncodedString):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def template_version(cloud: Cloud, specification: Request) -> Any:
    """The version of the launch template that a request names; raises if there is none."""
    by_id = specification.get("LaunchTemplateId")
    by_name = specification.get("LaunchTemplateName")
    if bool(by_id) == bool(by_name):
        raise bad_combination(
            "A launch template must be specified by either its ID or its name, and not both."
        )
    template = _template(cloud, by_id, by_name)
    wanted = specification.get("Version") or "$Default"
    try:
        return template.get_version(wanted)
    except (ServiceException, ValueError) as error:
        raise EC2Error(
            "InvalidLaunchTemplateId.VersionNotFound",
            f"Could not find launch template version {wanted} of {template.id}.",
        ) from error


def _template(cloud: Cloud, by_id: str | None, by_name: str | None) -> Any:
    for template in cloud.moto.launch_templates.values():
        if template.id == by_id or template.name == by_name:
            if cloud.now() < template.create_time.timestamp() + cloud.timings.template_lag:
                break
            return template
    if by_id:
        raise EC2Error(
            "InvalidLaunchTemplateId.NotFound",
            f"The specified launch template, with template ID {by_id}, does not exist.",
        )
    raise EC2Error(
        "InvalidLaunchTemplateName.NotFoundException",
        f"The specified launch template, with template name {by_name}, does not exist.",
    )


def with_template(cloud: Cloud, specification: Request | None, parameters: Request) -> Request:
    """What to launch: the template's data, with the call's own parameters before it.

    Tags of both are joined, for each type of resource.
    """
    own = {key: value for key, value in parameters.items() if key not in _ABOUT_THE_CALL}
    if not specification:
        return own
    version = template_version(cloud, specification)
    data = plain(version.data)
    merged = {**data, **own}
    merged["TagSpecifications"] = joined_tags(
        [
            *data.get("TagSpecifications", []),
            *own.get("TagSpecifications", []),
            {
                "ResourceType": "instance",
                "Tags": [
                    {"Key": "aws:ec2launchtemplate:id", "Value": version.template.id},
                    {"Key": "aws:ec2launchtemplate:version", "Value": str(version.number)},
                ],
            },
        ]
    )
    return merged


def joined_tags(specifications: list[Request]) -> list[Request]:
    """One specification per type of resource; of two values of a key the later one stays."""
    joined: dict[str, dict[str, str]] = {}
    for specification in specifications:
        tags = joined.setdefault(specification["ResourceType"], {})
        tags.update({tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])})
    return [
        {"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
        for kind, tags in joined.items()
    ]


def tags_for(request: Request, resource_type: str) -> dict[str, str]:
    """The tags that a request gives to one type of resource."""
    for specification in joined_tags(request.get("TagSpecifications", [])):
        if specification["ResourceType"] == resource_type:
            return {tag["Key"]: tag["Value"] for tag in specification["Tags"]}
    return {}


def check_tags(specifications: list[Request], taggable: frozenset[str] = TAGGABLE) -> None:
    """Refuse tags that a client may not give."""
    for specification in specifications:
        kind = specification.get("ResourceType", "")
        if kind not in taggable:
            raise EC2Error(
                "InvalidParameterValue",
                f"'{kind}' is not a valid taggable resource type for this operation.",
            )
        check_tag_set(specification.get("Tags", []))


def check_tag_set(tags: list[dict[str, str]]) -> None:
    """Refuse a set of tags with a reserved, too long or doubled key, or with too many tags."""
    keys = [tag.get("Key", "") for tag in tags]
    if len(set(keys)) != len(keys):
        raise EC2Error("InvalidParameterValue", "Duplicate tag keys were specified.")
    if len(tags) > 50:
        raise EC2Error("TagLimitExceeded", "The maximum number of tags for a resource is 50.")
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if key.lower().startswith("aws:"):
            raise EC2Error(
                "InvalidParameterValue",
                f"Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are"
                " reserved for internal use",
            )
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise EC2Error("InvalidParameterValue", f"The tag '{key}' is too long or has no key.")


def image_of(cloud: Cloud, request: Request) -> Any:
    """The image to launch; raises if there is none that can be."""
    image_id = request.get("ImageId")
    if not image_id:
        raise EC2Error("MissingParameter", "The request must contain the parameter ImageId")
    if not re.fullmatch(r"ami-[0-9a-z]{8,17}", image_id):
        raise EC2Error("InvalidAMIID.Malformed", f'Invalid id: "{image_id}"')
    image = cloud.moto.amis.get(image_id)
    if image is None:
        raise EC2Error("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    if image.state != "available":
        raise EC2Error(
            "InvalidAMIID.Unavailable", f"The image ID '{image_id}' is not available: {image.state}"
        )
    return image


def check_request(cloud: Cloud, request: Request) -> None:
    """Refuse what can't be launched anywhere; raises the documented error."""
    check_instance_type(request, image_of(cloud, request))
    check_network(cloud, request)
    check_user_data(request.get("UserData"))
    check_key_and_profile(cloud, request)
    check_spot_options(request)


def check_instance_type(request: Request, image: Any) -> None:
    """Refuse a type that doesn't exist or can't run the image."""
    instance_type = request.setdefault("InstanceType", "m1.small")
    if not moto_parts.is_instance_type(instance_type):
        raise EC2Error(
            "InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType."
        )
    architectures = moto_parts.architectures_of(instance_type)
    if image.architecture not in architectures:
        raise EC2Error(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does not"
            f" match the architecture '{image.architecture}' of the specified AMI. Specify an"
            " instance type and an AMI that have matching architectures, and try again.",
        )


def first_interface(request: Request) -> Request:
    """The specification of the primary network interface, if the request has one."""
    for interface in request.get("NetworkInterfaces", []):
        if int(interface.get("DeviceIndex", 0)) == 0:
            return dict(interface)
    return {}


def subnet_id_of(request: Request) -> str | None:
    """The subnet that a request names, at either of its two places."""
    return request.get("SubnetId") or first_interface(request).get("SubnetId")


def group_ids_of(request: Request) -> list[str]:
    """The security groups that a request names, at any of its places."""
    groups = request.get("SecurityGroupIds") or first_interface(request).get("Groups") or []
    return list(groups)


def subnet_of(cloud: Cloud, subnet_id: str) -> Any:
    """A subnet by its id; raises if there is none."""
    if not re.fullmatch(r"subnet-[0-9a-f]{8,17}", subnet_id):
        raise EC2Error("InvalidSubnetID.Malformed", f'Invalid id: "{subnet_id}"')
    for zone_subnets in cloud.moto.subnets.values():
        if subnet_id in zone_subnets:
            return zone_subnets[subnet_id]
    raise EC2Error("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")


def check_network(cloud: Cloud, request: Request) -> None:
    """Refuse subnets, groups and zones that don't exist or don't go together."""
    if request.get("NetworkInterfaces"):
        if request.get("SubnetId"):
            raise bad_combination(
                "Network interfaces and an instance-level subnet ID may not be specified on the"
                " same request"
            )
        if request.get("SecurityGroupIds"):
            raise bad_combination(
                "Network interfaces and an instance-level security groups may not be specified on"
                " the same request"
            )
    zone = request.get("Placement", {}).get("AvailabilityZone")
    if zone and zone not in cloud.zones():
        raise EC2Error("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    subnet_id = subnet_id_of(request)
    subnet = subnet_of(cloud, subnet_id) if subnet_id else None
    if subnet and zone and subnet.availability_zone != zone:
        raise bad_combination(
            "The availability zone of the specified subnet and the specified placement don't match"
        )
    for group_id in group_ids_of(request):
        group = cloud.moto.get_security_group_from_id(group_id)
        if group is None:
            raise EC2Error(
                "InvalidGroup.NotFound", f"The security group '{group_id}' does not exist"
            )
        if subnet and group.vpc_id != subnet.vpc_id:
            raise EC2Error(
                "InvalidParameter",
                f"Security group {group_id} and subnet {subnet_id} belong to different networks.",
            )


def check_user_data(encoded: str | None) -> None:
    """Refuse user data that isn't base64, or of more than 16 KB before it was encoded."""
    if not encoded:
        return
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise EC2Error(
            "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."
        ) from error
    if len(decoded) > LARGEST_USER_DATA:
        raise EC2Error(
            "InvalidParameterValue", f"User data is limited to {LARGEST_USER_DATA} bytes"
        )


def check_key_and_profile(cloud: Cloud, request: Request) -> None:
    """Refuse a key pair or an instance profile that doesn't exist."""
    key_name = request.get("KeyName")
    if key_name and key_name not in cloud.moto.key_pairs:
        raise EC2Error("InvalidKeyPair.NotFound", f"The key pair '{key_name}' does not exist")
    profile = request.get("IamInstanceProfile") or {}
    known = moto_parts.iam_of(cloud.account).instance_profiles.values()
    name, arn = profile.get("Name"), profile.get("Arn")
    if name and name not in {one.name for one in known}:
        raise bad_value(name, "iamInstanceProfile.name", "Invalid IAM Instance Profile name")
    if arn and arn not in {one.arn for one in known}:
        raise bad_value(arn, "iamInstanceProfile.arn", "Invalid IAM Instance Profile ARN")


def spot_options(request: Request) -> Request | None:
    """The options of a Spot launch; None for an on-demand one."""
    options = request.get("InstanceMarketOptions") or {}
    if options.get("MarketType") != "spot":
        return None
    return dict(options.get("SpotOptions") or {})


def check_spot_options(request: Request) -> None:
    """Refuse Spot options that don't go together."""
    market = (request.get("InstanceMarketOptions") or {}).get("MarketType", "spot")
    if market != "spot":
        raise bad_value(market, "InstanceMarketOptions.MarketType", "")
    options = spot_options(request)
    if options is None:
        return
    behavior = options.get("InstanceInterruptionBehavior", "terminate")
    if behavior != "terminate" and options.get("SpotInstanceType") != "persistent":
        raise bad_combination(
            f"The instance interruption behavior '{behavior}' needs a persistent Spot request"
        )
    price = options.get("MaxPrice")
    if price is not None and not re.fullmatch(r"\d*\.?\d+", price):
        raise bad_value(price, "SpotPrice", "It must be a positive number.")
