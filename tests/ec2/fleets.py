"""CreateFleet of type instant: candidates, allocation strategies, partial results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .cloud import Cloud
from .launching import Origin, Place, check_place, create, no_capacity, places, room
from .problems import EC2Error, bad_combination, bad_value
from .records import Fleet, Instance, Launch
from .requests import (
    TAGGABLE,
    Request,
    check_request,
    check_tags,
    joined_tags,
    template_version,
    with_template,
)

SPOT_STRATEGIES = (
    "lowest-price",
    "diversified",
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "price-capacity-optimized",
)
ON_DEMAND_STRATEGIES = ("lowest-price", "prioritized")
# EC2 chooses among pools that have capacity, so that empty ones aren't tried and make no errors.
KNOWS_CAPACITY = frozenset({name for name in SPOT_STRATEGIES if "capacity" in name})


class RefusedAsAWhole(EC2Error):
    """What concerns a fleet and not one of its overrides."""


@dataclass
class Candidate:
    """One override of a launch template, for one market."""

    market: str
    template: Request
    override: Request
    request: Request
    weight: float
    priority: float


@dataclass
class Pool:
    """A candidate in one place, with its price per unit and the instances planned so far."""

    candidate: Candidate
    place: Place
    price: float
    left: float
    planned: int = 0


@dataclass
class Plan:
    """What is to be launched for one market, and why not more."""

    pools: list[Pool] = field(default_factory=list)
    errors: list[tuple[Candidate, EC2Error]] = field(default_factory=list)
    units: float = 0.0
    hourly: float = 0.0

    def fail(self, candidate: Candidate, error: EC2Error) -> None:
        """Note an error, once for each candidate and code."""
        noted = {(id(one), old.code) for one, old in self.errors}
        if (id(candidate), error.code) not in noted:
            self.errors.append((candidate, error))


def create_fleet(cloud: Cloud, parameters: Request) -> Request:
    """Launch a fleet; returns the answer of CreateFleet."""
    kind = parameters.get("Type") or "maintain"
    if kind != "instant":
        raise EC2Error(
            "InvalidParameterValue",
            f"This test server has fleets of type instant only, not of type {kind}.",
        )
    specifications = parameters.get("TagSpecifications", [])
    check_tags(specifications, TAGGABLE | {"fleet"})
    targets = _targets(parameters.get("TargetCapacitySpecification") or {})
    number = cloud.next_number()
    fleet_id = f"fleet-{number:08x}-0000-4000-8000-{number:012x}"
    plans = [
        _plan(cloud, parameters, market, target) for market, target in targets.items() if target
    ]
    origin = Origin(parameters, parameters.get("ClientToken") or "", fleet_id)
    answer: Request = {"FleetId": fleet_id, "Errors": [], "Instances": []}
    launched: list[str] = []
    for plan in plans:
        answer["Errors"] += [_error_view(*failed) for failed in plan.errors]
        for pool in plan.pools:
            if pool.planned:
                made = create(cloud, pool.candidate.request, pool.place, pool.planned, origin)
                launched += [instance.id for instance in made]
                answer["Instances"].append(_instances_view(pool, made))
    fleet_tags = joined_tags([one for one in specifications if one["ResourceType"] == "fleet"])
    cloud.fleets[fleet_id] = Fleet(
        id=fleet_id,
        created_at=cloud.now(),
        sent=parameters,
        client_token=origin.token,
        answer=answer,
        tags={tag["Key"]: tag["Value"] for one in fleet_tags for tag in one["Tags"]},
    )
    cloud.launches.append(
        Launch(
            "CreateFleet",
            origin.token,
            int(sum(targets.values())),
            cloud.now(),
            launched,
            fleet_id,
        )
    )
    return answer


def _targets(specification: Request) -> dict[str, int]:
    total = int(specification.get("TotalTargetCapacity") or 0)
    if total < 1:
        raise bad_value(total, "TotalTargetCapacity", "It must be at least 1.")
    targets = {
        "on-demand": int(specification.get("OnDemandTargetCapacity") or 0),
        "spot": int(specification.get("SpotTargetCapacity") or 0),
    }
    rest = total - sum(targets.values())
    if rest < 0:
        raise bad_combination("The on-demand and Spot target capacities exceed the total one.")
    default = specification.get("DefaultTargetCapacityType") or "on-demand"
    if default not in targets:
        raise bad_value(default, "DefaultTargetCapacityType", "")
    targets[default] += rest
    return targets


def _candidates(cloud: Cloud, parameters: Request, market: str) -> list[Candidate]:
    configurations = parameters.get("LaunchTemplateConfigs") or []
    if not configurations:
        raise EC2Error(
            "MissingParameter", "The request must contain the parameter LaunchTemplateConfigs"
        )
    found = []
    for configuration in configurations:
        specification = configuration.get("LaunchTemplateSpecification") or {}
        version = template_version(cloud, specification)
        resolved = {"LaunchTemplateId": version.template.id, "Version": str(version.number)}
        for override in configuration.get("Overrides") or [{}]:
            found.append(
                Candidate(
                    market=market,
                    template=resolved,
                    override=override,
                    request=_request(cloud, parameters, specification, override, market),
                    weight=float(override.get("WeightedCapacity") or 1),
                    priority=float(override.get("Priority") or 0),
                )
            )
    return found


def _request(
    cloud: Cloud, parameters: Request, specification: Request, override: Request, market: str
) -> Request:
    """What one override launches, in the words of RunInstances."""
    own = {
        key: override[key]
        for key in ("InstanceType", "ImageId", "Placement", "BlockDeviceMappings")
        if key in override
    }
    request = with_template(cloud, specification, own)
    request.pop("InstanceMarketOptions", None)
    if override.get("AvailabilityZone"):
        request["Placement"] = {"AvailabilityZone": override["AvailabilityZone"]}
    if override.get("SubnetId"):
        _into_subnet(request, override["SubnetId"])
    given = [
        one for one in parameters.get("TagSpecifications", []) if one["ResourceType"] != "fleet"
    ]
    request["TagSpecifications"] = joined_tags([*request["TagSpecifications"], *given])
    if market == "spot":
        options = parameters.get("SpotOptions") or {}
        spot: Request = {"SpotInstanceType": "one-time"}
        if override.get("MaxPrice"):
            spot["MaxPrice"] = override["MaxPrice"]
        if options.get("InstanceInterruptionBehavior", "terminate") != "terminate":
            raise bad_value(
                options["InstanceInterruptionBehavior"],
                "SpotOptions.InstanceInterruptionBehavior",
                "Fleets of type instant terminate their instances.",
            )
        request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": spot}
    return request


def _into_subnet(request: Request, subnet_id: str) -> None:
    interfaces = request.get("NetworkInterfaces")
    if interfaces:
        request["NetworkInterfaces"] = [{**interfaces[0], "SubnetId": subnet_id}, *interfaces[1:]]
    else:
        request["SubnetId"] = subnet_id


def _options(parameters: Request, market: str) -> tuple[Request, str]:
    """The options of one market, and its allocation strategy."""
    name, known = (
        ("SpotOptions", SPOT_STRATEGIES)
        if market == "spot"
        else ("OnDemandOptions", ON_DEMAND_STRATEGIES)
    )
    options = parameters.get(name) or {}
    strategy = options.get("AllocationStrategy") or "lowest-price"
    if strategy not in known:
        raise bad_value(strategy, f"{name}.AllocationStrategy", f"Known are: {', '.join(known)}.")
    single = options.get("SingleInstanceType") or options.get("SingleAvailabilityZone")
    if options.get("MinTargetCapacity") and not single:
        raise bad_combination(
            "MinTargetCapacity needs SingleInstanceType or SingleAvailabilityZone as well."
        )
    return options, strategy


def _plan(cloud: Cloud, parameters: Request, market: str, target: int) -> Plan:
    options, strategy = _options(parameters, market)
    plan = Plan()
    pools = _pools(cloud, _candidates(cloud, parameters, market), plan)
    pools.sort(key=_order(strategy))
    pools = _single(pools, options, target)
    most = float(options.get("MaxTotalPrice") or "inf")
    if strategy == "diversified":
        _fill_in_turn(cloud, plan, pools, target, most)
    else:
        for pool in pools:
            while plan.units < target and _add(cloud, plan, pool, most):
                pass
    plan.pools = pools
    if plan.units < int(options.get("MinTargetCapacity") or 0):
        for pool in pools:
            pool.planned = 0
            plan.fail(pool.candidate, no_capacity(pool.candidate.request, pool.place))
        plan.units = 0
    elif plan.units >= target and strategy in KNOWS_CAPACITY:
        plan.errors = [
            failed for failed in plan.errors if failed[1].code != "InsufficientInstanceCapacity"
        ]
    return plan


def _pools(cloud: Cloud, candidates: list[Candidate], plan: Plan) -> list[Pool]:
    pools = []
    for candidate in candidates:
        try:
            check_request(cloud, candidate.request)
            where = places(cloud, candidate.request)
            _refuse_duplicates(candidate, where, pools)
            for place in where:
                check_place(cloud, candidate.request, place)
                price = cloud.prices.price(
                    candidate.request["InstanceType"], place.zone, candidate.market, cloud.now()
                )
                left = room(cloud, candidate.request, place)
                pools.append(Pool(candidate, place, price, left))
        except RefusedAsAWhole:
            raise
        except EC2Error as error:
            plan.fail(candidate, error)
    return pools


def _refuse_duplicates(candidate: Candidate, where: list[Place], pools: list[Pool]) -> None:
    """A fleet takes each type once in a zone, or it is refused as a whole."""
    kind = candidate.request["InstanceType"]
    zones = {pool.place.zone for pool in pools if pool.candidate.request["InstanceType"] == kind}
    if zones & {place.zone for place in where}:
        raise RefusedAsAWhole(
            "InvalidFleetConfig", "The fleet configuration contains duplicate instance pools."
        )


def _order(strategy: str) -> Callable[[Pool], Any]:
    def by_price(pool: Pool) -> Any:
        return pool.price / pool.candidate.weight

    def by_capacity(pool: Pool) -> Any:
        return (-pool.left, by_price(pool))

    def by_priority(pool: Pool) -> Any:
        return pool.candidate.priority

    return {
        "capacity-optimized": by_capacity,
        "capacity-optimized-prioritized": by_priority,
        "prioritized": by_priority,
    }.get(strategy, by_price)


def _single(pools: list[Pool], options: Request, target: int) -> list[Pool]:
    """With SingleInstanceType or SingleAvailabilityZone: the first group of pools that can give
    all, or else the one that can give most."""

    def group_of(pool: Pool) -> tuple[str, str]:
        return (
            pool.candidate.request["InstanceType"] if options.get("SingleInstanceType") else "",
            pool.place.zone if options.get("SingleAvailabilityZone") else "",
        )

    groups: dict[tuple[str, str], list[Pool]] = {}
    for pool in pools:
        groups.setdefault(group_of(pool), []).append(pool)
    if not groups:
        return pools

    def units(group: list[Pool]) -> float:
        return min(target, sum(pool.left * pool.candidate.weight for pool in group))

    return max(groups.values(), key=units)


def _fill_in_turn(cloud: Cloud, plan: Plan, pools: list[Pool], target: int, most: float) -> None:
    open_pools = list(pools)
    while open_pools and plan.units < target:
        for pool in list(open_pools):
            if plan.units < target and not _add(cloud, plan, pool, most):
                open_pools.remove(pool)


def _add(cloud: Cloud, plan: Plan, pool: Pool, most: float) -> bool:
    """Plan one more instance of a pool; notes the error and returns False if that can't be."""
    candidate = pool.candidate
    if pool.planned + 1 > pool.left:
        plan.fail(candidate, no_capacity(candidate.request, pool.place))
        return False
    if plan.hourly + pool.price > most:
        plan.fail(
            candidate,
            EC2Error("MaxTotalPriceExceeded", "The fleet would exceed its maximum total price."),
        )
        return False
    try:
        cloud.quotas.check(
            candidate.request["InstanceType"], candidate.market, pool.planned + 1, cloud.all()
        )
    except EC2Error as error:
        plan.fail(candidate, error)
        return False
    pool.planned += 1
    plan.units += candidate.weight
    plan.hourly += pool.price
    return True


def _template_and_overrides(candidate: Candidate) -> Request:
    return {
        "LaunchTemplateSpecification": candidate.template,
        "Overrides": dict(candidate.override),
    }


def _error_view(candidate: Candidate, error: EC2Error) -> Request:
    return {
        "LaunchTemplateAndOverrides": _template_and_overrides(candidate),
        "Lifecycle": candidate.market,
        "ErrorCode": error.code,
        "ErrorMessage": error.message,
    }


def _instances_view(pool: Pool, made: list[Instance]) -> Request:
    return {
        "LaunchTemplateAndOverrides": _template_and_overrides(pool.candidate),
        "Lifecycle": pool.candidate.market,
        "InstanceIds": [instance.id for instance in made],
        "InstanceType": made[0].instance_type,
    }
