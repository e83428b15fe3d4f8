"""The instance metadata service, as far as a worker's host asks it."""

from __future__ import annotations

import json

from .clock import date_of
from .cloud import Cloud
from .records import Instance
from .spot import request_of


def metadata_of(cloud: Cloud, instance: Instance) -> dict[str, str]:
    """What the instance reads, by path under `latest/`; a path that isn't here is a 404."""
    found = {
        "meta-data/instance-id": instance.id,
        "meta-data/instance-type": instance.instance_type,
        "meta-data/instance-life-cycle": instance.market,
        "meta-data/local-ipv4": instance.private_ip or "",
        "meta-data/placement/availability-zone": instance.zone,
        "dynamic/instance-identity/document": json.dumps(
            {
                "accountId": cloud.account,
                "availabilityZone": instance.zone,
                "instanceId": instance.id,
                "instanceType": instance.instance_type,
                "region": cloud.region,
            }
        ),
    }
    if instance.user_data:
        found["user-data"] = instance.user_data
    request = request_of(cloud, instance)
    if request is not None and instance.interruption_at is not None:
        when = date_of(instance.interruption_at).strftime("%Y-%m-%dT%H:%M:%SZ")
        action = {"action": request.interruption_behavior, "time": when}
        found["meta-data/spot/instance-action"] = json.dumps(action)
    if instance.rebalance_recommended:
        notice = {"noticeTime": date_of(cloud.now()).strftime("%Y-%m-%dT%H:%M:%SZ")}
        found["meta-data/events/recommendations/rebalance"] = json.dumps(notice)
    return found
