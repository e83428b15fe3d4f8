"""Fleets of type instant: one request for one instance of any of many candidates. Pure.

EC2 chooses among the candidates by price and capacity, and answers at once with what it launched,
and with the reason for each candidate that it could not. Such a fleet does nothing afterwards, and
there is nothing of it to delete ("EC2 Fleet request types" in the EC2 user guide).

A fleet launches from a launch template, and only there can the user data be. That of each host is
its own, and so is its template, named by what is in it: whoever asks for the same host again finds
the same one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from buildbot_drydock.latent.ec2.candidates import Candidate, Market
from buildbot_drydock.latent.ec2.requests import (
    FoundImage,
    Pool,
    Settings,
    client_token,
    configuration,
    network,
    tag_specifications,
)

MOST_CANDIDATES: Final = 300  # the overrides that CreateFleet takes
_HEEDS_ORDER: Final = "capacity-optimized-prioritized"
# Of a template of the user's: what a fleet says itself, and what is only ever told.
_NOT_TAKEN_OVER: Final = (
    *("InstanceType", "InstanceRequirements", "InstanceMarketOptions", "UserData", "Operator"),
)


def template_data(
    settings: Settings,
    pool: Pool,
    token: str,
    market: Market,
    image: FoundImage | None,
    user_data: str,
    base: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what is in the launch template of a host. *base* is what one of the user's says."""
    kinds = ["instance", "volume"]
    if market is Market.SPOT:
        kinds.append("spot-instances-request")  # if there is none, such a tag is an error
    tags = tag_specifications(settings, pool, token, kinds)
    taken_over = {key: value for key, value in base.items() if value and key not in _NOT_TAKEN_OVER}
    return {
        **taken_over,
        **configuration(settings, image, market),
        **network(settings),
        "UserData": base64.b64encode(user_data.encode()).decode(),
        "TagSpecifications": _joined(taken_over.get("TagSpecifications", ()), tags),
    }


def _joined(
    theirs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the tags of both, by the kind of what they are for; of two values ours."""
    kinds = {each["ResourceType"] for each in ours}
    by_kind: dict[str, dict[str, str]] = {each: {} for each in sorted(kinds)}
    for specification in (*theirs, *ours):
        kind = specification["ResourceType"]
        if kind in kinds or kind == "network-interface":
            tags = {tag["Key"]: tag["Value"] for tag in specification.get("Tags", ())}
            by_kind.setdefault(kind, {}).update(tags)
    return [
        {
            "ResourceType": kind,
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
        }
        for kind, tags in by_kind.items()
    ]


def create_launch_template(pool: Pool, token: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of CreateLaunchTemplate. The name says what is in it."""
    content = json.dumps([pool.tags(token), data], sort_keys=True, default=str)
    digest = hashlib.sha256(content.encode()).hexdigest()[:48]
    tags = [{"Key": key, "Value": value} for key, value in sorted(pool.tags(token).items())]
    return {
        "LaunchTemplateName": f"drydock-{digest}",
        "LaunchTemplateData": dict(data),
        "TagSpecifications": [{"ResourceType": "launch-template", "Tags": tags}],
    }


def create_fleet(
    settings: Settings,
    pool: Pool,
    token: str,
    number: int,
    candidates: Sequence[Candidate],
    template: str,
) -> dict[str, Any]:
    """Return the parameters of CreateFleet. All *candidates* are of one market."""
    market = candidates[0].market
    request: dict[str, Any] = {
        "ClientToken": client_token(pool, token, number),
        "Type": "instant",
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": template, "Version": "1"},
                "Overrides": [
                    _override(settings, each, order) for order, each in enumerate(candidates)
                ],
            }
        ],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": 1,
            "DefaultTargetCapacityType": market.value,
        },
        "TagSpecifications": tag_specifications(settings, pool, token, ["fleet"]),
    }
    if market is Market.SPOT:
        request["SpotOptions"] = {
            "AllocationStrategy": settings.strategy,
            "InstanceInterruptionBehavior": "terminate",
        }
    else:
        request["OnDemandOptions"] = {"AllocationStrategy": "prioritized"}
    return request


def _override(settings: Settings, candidate: Candidate, order: int) -> dict[str, Any]:
    found: dict[str, Any] = {"InstanceType": candidate.instance_type}
    if candidate.market is Market.ON_DEMAND or settings.strategy == _HEEDS_ORDER:
        found["Priority"] = float(order)
    if candidate.place:
        found["AvailabilityZone" if settings.places_are_zones else "SubnetId"] = candidate.place
    if candidate.market is Market.SPOT and settings.max_price is not None:
        found["MaxPrice"] = f"{settings.max_price:.6f}".rstrip("0").rstrip(".")
    return found


def launched(reply: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the ids of the instances in a reply of CreateFleet, each with where it is told of."""
    for group in reply.get("Instances", ()):
        for number in group.get("InstanceIds", ()):
            yield number, group


def concerned(described: Mapping[str, Any], among: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that an error, or an instance, in a reply of CreateFleet is about."""
    override = (described.get("LaunchTemplateAndOverrides") or {}).get("Overrides") or {}
    place = override.get("SubnetId") or override.get("AvailabilityZone") or ""
    kind = override.get("InstanceType") or ""
    return [
        each
        for each in among
        if kind in ("", each.instance_type) and (not place or each.place in ("", place))
    ]
