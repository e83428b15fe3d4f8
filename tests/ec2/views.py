"""Records as the EC2 API writes them."""

from __future__ import annotations

from typing import Any

from .clock import date_of
from .cloud import Cloud
from .records import STATE_CODES, Instance, ScheduledEvent, SpotRequest
from .spot import MESSAGES

View = dict[str, Any]


def state_view(state: str) -> View:
    """A state of an instance."""
    return {"Code": STATE_CODES[state], "Name": state}


def tag_views(tags: dict[str, str]) -> list[View]:
    """Tags in the order of their keys."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def without_none(view: View) -> View:
    """A view without the fields that have no value."""
    return {key: value for key, value in view.items() if value is not None}


def instance_view(cloud: Cloud, instance: Instance) -> View:
    """An instance as DescribeInstances shows it now."""
    moto = instance.moto
    gone = instance.state == "terminated"
    groups = [{"GroupId": group.id, "GroupName": group.name} for group in moto.security_groups]
    return without_none(
        {
            "AmiLaunchIndex": instance.launch_index,
            "Architecture": moto.architecture,
            "BlockDeviceMappings": [] if gone else _volume_views(instance),
            "ClientToken": instance.client_token,
            "EbsOptimized": moto.ebs_optimized,
            "HibernationOptions": {"Configured": hibernates(instance)},
            "Hypervisor": moto.hypervisor,
            "IamInstanceProfile": _profile_view(cloud, instance),
            "ImageId": moto.image_id,
            "InstanceId": instance.id,
            "InstanceLifecycle": "spot" if instance.market == "spot" else None,
            "InstanceType": instance.instance_type,
            "KeyName": moto.key_name,
            "LaunchTime": date_of(instance.launched_at),
            "MetadataOptions": _metadata_view(instance),
            "Monitoring": moto.monitoring,
            "Placement": {"AvailabilityZone": instance.zone, "Tenancy": "default"},
            "PrivateDnsName": "" if gone else moto.private_dns_name,
            "PrivateIpAddress": instance.private_ip,
            "PublicDnsName": (moto.public_dns_name or "") if _public_ip(instance) else "",
            "PublicIpAddress": _public_ip(instance),
            "RootDeviceName": moto.root_device_name,
            "RootDeviceType": moto.root_device_type,
            "SecurityGroups": groups,
            "SpotInstanceRequestId": instance.spot_request_id,
            "State": state_view(instance.state),
            "StateReason": _reason_view(instance),
            "StateTransitionReason": instance.transition_reason,
            "SubnetId": None if gone else moto.subnet_id,
            "Tags": tag_views(cloud.tags_of(instance)) or None,
            "VirtualizationType": moto.virtualization_type,
            "VpcId": None if gone else moto.vpc_id,
        }
    )


def hibernates(instance: Instance) -> bool:
    """Whether it was launched so that it can hibernate."""
    options = instance.request.get("HibernationOptions") or {}
    return str(options.get("Configured", "")).lower() == "true"


def _public_ip(instance: Instance) -> str | None:
    """The public address comes while an instance is pending, and goes when it stops."""
    return instance.public_ip if instance.state in ("running", "shutting-down") else None


def _reason_view(instance: Instance) -> View | None:
    if instance.state == "pending":
        return {"Code": "pending", "Message": "pending"}
    if not instance.reason_code:
        return None
    return {"Code": instance.reason_code, "Message": instance.reason_message}


def _volume_views(instance: Instance) -> list[View]:
    return [
        {
            "DeviceName": device,
            "Ebs": {
                "DeleteOnTermination": volume.delete_on_termination,
                "Status": "attached",
                "VolumeId": volume.volume_id,
                "AttachTime": date_of(instance.launched_at),
            },
        }
        for device, volume in instance.moto.get_block_device_mapping
    ]


def _profile_view(cloud: Cloud, instance: Instance) -> View | None:
    profile = instance.request.get("IamInstanceProfile") or {}
    if not profile:
        return None
    name = profile.get("Name") or profile["Arn"].rpartition("/")[2]
    arn = f"arn:aws:iam::{cloud.account}:instance-profile/{name}"
    return {"Arn": arn, "Id": "AIPA0000000000000000"}


def _metadata_view(instance: Instance) -> View:
    options = instance.moto.metadata_options
    return {
        "State": options.state,
        "HttpTokens": options.http_tokens,
        "HttpPutResponseHopLimit": options.http_put_response_hop_limit,
        "HttpEndpoint": options.http_endpoint,
        "HttpProtocolIpv6": options.http_protocol_ipv6,
        "InstanceMetadataTags": options.instance_metadata_tags,
    }


def reservation_views(cloud: Cloud, instances: list[Instance]) -> list[View]:
    """Instances in their reservations, in the order given."""
    reservations: dict[str, View] = {}
    for instance in instances:
        reservation = reservations.setdefault(
            instance.reservation_id,
            {
                "ReservationId": instance.reservation_id,
                "OwnerId": cloud.account,
                "Groups": [],
                "Instances": [],
            },
        )
        reservation["Instances"].append(instance_view(cloud, instance))
    return list(reservations.values())


def status_view(cloud: Cloud, instance: Instance) -> View:
    """An instance as DescribeInstanceStatus shows it now."""
    check = status_of(cloud, instance)
    detail = {"ok": "passed", "impaired": "failed"}.get(check, check)
    both: View = {"Status": check}
    if check != "not-applicable":
        both["Details"] = [{"Name": "reachability", "Status": detail}]
    return {
        "AvailabilityZone": instance.zone,
        "InstanceId": instance.id,
        "InstanceState": state_view(instance.state),
        "InstanceStatus": both,
        "SystemStatus": dict(both),
        "Events": [event_view(event) for event in instance.events],
    }


def event_view(event: ScheduledEvent) -> View:
    """A scheduled event as DescribeInstanceStatus shows it now."""
    moments = {
        "NotBefore": event.not_before,
        "NotAfter": event.not_after,
        "NotBeforeDeadline": event.deadline,
    }
    return {
        "InstanceEventId": event.id,
        "Code": event.code,
        "Description": event.description,
        **{name: date_of(at) for name, at in moments.items() if at is not None},
    }


def status_of(cloud: Cloud, instance: Instance) -> str:
    """The outcome of the status checks now."""
    if instance.state != "running":
        return "not-applicable"
    if cloud.now() < instance.status_ok_at:
        return "initializing"
    return "impaired" if instance.impaired else "ok"


def spot_request_view(cloud: Cloud, request: SpotRequest) -> View:
    """A Spot request as DescribeSpotInstanceRequests shows it now."""
    return without_none(
        {
            "CreateTime": date_of(request.created_at),
            "InstanceId": request.instance_id,
            "InstanceInterruptionBehavior": request.interruption_behavior,
            "LaunchedAvailabilityZone": request.zone,
            "LaunchSpecification": {
                "ImageId": request.request["ImageId"],
                "InstanceType": request.request["InstanceType"],
                "SubnetId": request.request["SubnetId"],
            },
            "ProductDescription": "Linux/UNIX",
            "SpotInstanceRequestId": request.id,
            "SpotPrice": request.max_price,
            "State": request.state,
            "Status": {
                "Code": request.status,
                "Message": MESSAGES.get(request.status, request.status),
                "UpdateTime": date_of(request.changed_at),
            },
            "Tags": tag_views(cloud.moto.tags.get(request.id, {})),
            "Type": request.kind,
        }
    )
