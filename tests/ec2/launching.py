"""Instances come to be: a checked request, a place for it, and moto's own objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.utils import parse_user_data

from .cloud import Cloud
from .problems import EC2Error
from .records import Instance, SpotRequest
from .requests import (
    Request,
    check_request,
    first_interface,
    group_ids_of,
    spot_options,
    subnet_id_of,
    subnet_of,
    tags_for,
)


@dataclass(frozen=True)
class Origin:
    """What a launch comes from: the call's parameters and token, and the fleet if it has one."""

    sent: Request
    token: str = ""
    fleet_id: str | None = None


@dataclass(frozen=True)
class Place:
    """A zone, and the subnet in it."""

    zone: str
    subnet_id: str


def market_of(request: Request) -> str:
    """`spot` or `on-demand`."""
    return "on-demand" if spot_options(request) is None else "spot"


def places(cloud: Cloud, request: Request) -> list[Place]:
    """Where a request may be launched: where it says, or in each zone's default subnet."""
    subnet_id = subnet_id_of(request)
    if subnet_id:
        return [Place(subnet_of(cloud, subnet_id).availability_zone, subnet_id)]
    zone = request.get("Placement", {}).get("AvailabilityZone")
    defaults = cloud.moto.get_default_subnets()
    return [
        Place(where, subnet.id)
        for where, subnet in sorted(defaults.items())
        if zone is None or where == zone
    ]


def check_place(cloud: Cloud, request: Request, place: Place) -> None:
    """Refuse a zone that doesn't offer the type, and a price below the market's."""
    kind = request["InstanceType"]
    if not cloud.capacity.offers(kind, place.zone):
        raise EC2Error(
            "Unsupported",
            f"Your requested instance type ({kind}) is not supported in your requested"
            f" Availability Zone ({place.zone}).",
        )
    options = spot_options(request)
    if options is None or not options.get("MaxPrice"):
        return
    price = cloud.prices.spot_price(kind, place.zone, cloud.now())
    if float(options["MaxPrice"]) < price:
        raise EC2Error(
            "SpotMaxPriceTooLow",
            f"Your Spot request price of {options['MaxPrice']} is lower than the minimum required"
            f" Spot request fulfillment price of {price}.",
        )


def no_capacity(request: Request, place: Place) -> EC2Error:
    """InsufficientInstanceCapacity for one pool."""
    kind = request["InstanceType"]
    if market_of(request) == "spot":
        return EC2Error(
            "InsufficientInstanceCapacity",
            "There is no Spot capacity available that matches your request.",
        )
    return EC2Error(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {kind} capacity in the Availability Zone you"
        f" requested ({place.zone}). Our system will be working on provisioning additional"
        " capacity.",
    )


def place_for(cloud: Cloud, request: Request, minimum: int) -> tuple[Place, float]:
    """A place that can give `minimum` instances, and how many it can give; raises if none can.

    EC2 chooses the zone when the request leaves it open.
    """
    refusal: EC2Error | None = None
    for place in places(cloud, request):
        try:
            check_place(cloud, request, place)
        except EC2Error as error:
            refusal = refusal or error
            continue
        left = room(cloud, request, place)
        if left >= minimum:
            return place, left
        refusal = no_capacity(request, place)
    if refusal is None:
        raise EC2Error("VPCIdNotSpecified", "No default VPC for this user")
    raise refusal


def room(cloud: Cloud, request: Request, place: Place) -> float:
    """How many more instances the request's pool in a place can give."""
    return cloud.capacity.left(
        request["InstanceType"], place.zone, market_of(request), cloud.instances.values()
    )


def launch(
    cloud: Cloud, request: Request, minimum: int, maximum: int, origin: Origin
) -> list[Instance]:
    """Launch between `minimum` and `maximum` instances in one place, or raise and launch none."""
    check_request(cloud, request)
    place, left = place_for(cloud, request, minimum)
    count = int(min(left, maximum))
    cloud.quotas.check(request["InstanceType"], market_of(request), count, cloud.all())
    return create(cloud, request, place, count, origin)


def create(
    cloud: Cloud, request: Request, place: Place, count: int, origin: Origin
) -> list[Instance]:
    """Make so many instances in a place, without asking whether it has room."""
    reservation = _moto_reservation(cloud, request, place, count)
    made = []
    for moto_instance in reservation.instances:
        instance = _record(cloud, request, place, reservation.id, moto_instance, origin)
        if instance.market == "spot":
            add_spot_request(cloud, request, place, instance)
        cloud.add(instance)
        made.append(instance)
    return made


def _moto_reservation(cloud: Cloud, request: Request, place: Place, count: int) -> Any:
    interface = first_interface(request)
    options: dict[str, Any] = {
        "instance_type": request["InstanceType"],
        "is_instance_type_default": False,
        "region_name": cloud.region,
        "subnet_id": place.subnet_id,
        "key_name": request.get("KeyName"),
        "security_group_ids": group_ids_of(request) or [_default_group(cloud, place)],
        "private_ip": request.get("PrivateIpAddress") or interface.get("PrivateIpAddress"),
        "associate_public_ip": interface.get("AssociatePublicIpAddress"),
        "tags": {"instance": tags_for(request, "instance"), "volume": tags_for(request, "volume")},
        "ebs_optimized": request.get("EbsOptimized") or False,
        "disable_api_stop": request.get("DisableApiStop") or False,
        "disable_api_termination": request.get("DisableApiTermination") or False,
        "instance_initiated_shutdown_behavior": request.get("InstanceInitiatedShutdownBehavior"),
        "hibernation_options": request.get("HibernationOptions"),
        "monitoring_state": (
            "enabled" if (request.get("Monitoring") or {}).get("Enabled") else "disabled"
        ),
        "metadata_options": request.get("MetadataOptions") or {},
        "block_device_mappings": _volumes(cloud, request),
        "lifecycle": "spot" if market_of(request) == "spot" else None,
    }
    try:
        return cloud.moto.run_instances(
            request["ImageId"], count, parse_user_data(request.get("UserData")), [], **options
        )
    except ServiceException as error:
        raise EC2Error(error.code, error.message) from error


def _default_group(cloud: Cloud, place: Place) -> str:
    vpc_id = subnet_of(cloud, place.subnet_id).vpc_id
    return str(cloud.moto.get_security_group_from_name("default", vpc_id).id)


def _volumes(cloud: Cloud, request: Request) -> list[Request]:
    """The image's root volume, as the request changes it, and the request's other volumes.

    The root volume goes with the instance, other ones stay, unless the request says otherwise.
    """
    root = cloud.moto.amis[request["ImageId"]].root_device_name
    volumes: dict[str, Request] = {root: {"VolumeSize": 8, "DeleteOnTermination": True}}
    for mapping in request.get("BlockDeviceMappings", []):
        if "Ebs" in mapping:
            changed = {**volumes.get(mapping["DeviceName"], {}), **mapping["Ebs"]}
            volumes[mapping["DeviceName"]] = changed
    return [{"DeviceName": device, "Ebs": ebs} for device, ebs in volumes.items()]


def _record(
    cloud: Cloud,
    request: Request,
    place: Place,
    reservation_id: str,
    moto_instance: Any,
    origin: Origin,
) -> Instance:
    number = cloud.next_number()
    market = market_of(request)
    if origin.fleet_id:
        cloud.moto.create_tags([moto_instance.id], {"aws:ec2:fleet-id": origin.fleet_id})
    return Instance(
        id=moto_instance.id,
        number=number,
        reservation_id=reservation_id,
        moto=moto_instance,
        request=request,
        sent=origin.sent,
        instance_type=request["InstanceType"],
        zone=place.zone,
        market=market,
        launched_at=cloud.now(),
        private_ip=moto_instance.private_ip_address,
        public_ip=moto_instance.public_ip_address,
        # EC2 launches a fleet's instances with tokens of its own.
        client_token=f"{origin.fleet_id}-{number}" if origin.fleet_id else origin.token,
        origin_token=origin.token,
        launch_index=moto_instance.ami_launch_index,
        fleet_id=origin.fleet_id,
        hourly_price=cloud.prices.price(request["InstanceType"], place.zone, market, cloud.now()),
        volumes=[device.volume_id for _, device in moto_instance.get_block_device_mapping],
    )


def add_spot_request(
    cloud: Cloud, request: Request, place: Place, instance: Instance
) -> SpotRequest:
    """The Spot request that a Spot instance is launched by."""
    options = spot_options(request) or {}
    without_tags = {key: value for key, value in request.items() if key != "TagSpecifications"}
    on_demand = cloud.prices.price(request["InstanceType"], place.zone, "on-demand", cloud.now())
    spot = SpotRequest(
        id=f"sir-{instance.number:08x}",
        kind=options.get("SpotInstanceType") or "one-time",
        created_at=cloud.now(),
        request={**without_tags, "SubnetId": place.subnet_id, "NetworkInterfaces": []},
        zone=place.zone,
        max_price=options.get("MaxPrice") or f"{on_demand:.6f}",
        interruption_behavior=options.get("InstanceInterruptionBehavior") or "terminate",
        tags=tags_for(request, "spot-instances-request"),
        instance_id=instance.id,
        fleet_id=instance.fleet_id,
        changed_at=cloud.now(),
    )
    cloud.spot_requests[spot.id] = spot
    if spot.tags:
        cloud.moto.create_tags([spot.id], spot.tags)
    instance.spot_request_id = spot.id
    return spot
