"""Fleets of type instant."""

from __future__ import annotations

from typing import Any

from .cases import ServerCase, tagged


class Fleets(ServerCase):
    def setUp(self) -> None:
        super().setUp()
        self.subnets = self.server.catalogue.subnets()

    def over(self, kind: str, zone: str = "a", **more: Any) -> dict[str, Any]:
        subnet = self.subnets[f"us-east-1{zone}"]
        return {"InstanceType": kind, "SubnetId": subnet, **more}

    def launched_types(self) -> list[str]:
        return sorted(instance.instance_type for instance in self.inspector.instances)

    def test_both_markets_come_with_tags_of_fleet_template_and_caller(self) -> None:
        template = self.template(TagSpecifications=tagged("volume", of="template"))
        answer = self.fleet(
            [self.over("c5.large")],
            spot=2,
            on_demand=1,
            template=template,
            TagSpecifications=[*tagged(pool="a"), *tagged("fleet", whole="f")],
        )
        self.assertEqual(answer["Errors"], [])
        self.assertEqual(
            {one["Lifecycle"]: len(one["InstanceIds"]) for one in answer["Instances"]},
            {"on-demand": 1, "spot": 2},
        )
        for shown in self.describe():
            tags = {tag["Key"]: tag["Value"] for tag in shown["Tags"]}
            self.assertEqual(tags["pool"], "a")
            self.assertEqual(tags["aws:ec2:fleet-id"], answer["FleetId"])
            self.assertEqual(tags["aws:ec2launchtemplate:id"], template)
        volumes = self.ec2.describe_volumes()["Volumes"]
        self.assertEqual({one["Tags"][0]["Value"] for one in volumes}, {"template"})
        spot = self.filtered(instance_lifecycle="spot")
        self.assertEqual(len(spot), 2)
        self.assertEqual(len(self.inspector.spot_requests()), 2)
        shown_fleet = self.ec2.describe_fleets(FleetIds=[answer["FleetId"]])["Fleets"][0]
        self.assertEqual(shown_fleet["Tags"], [{"Key": "whole", "Value": "f"}])

    def test_a_type_is_taken_once_in_a_zone(self) -> None:
        other = self.server.catalogue.add_subnet("10.7.0.0/24", "us-east-1a")
        twice = [self.over("c5.large"), {"InstanceType": "c5.large", "SubnetId": other}]
        self.refused("InvalidFleetConfig", self.fleet, twice, spot=1)
        self.assertEqual(self.launched_types(), [])
        self.fleet([self.over("c5.large"), self.over("m5.large"), self.over("c5.large", "b")], 1)

    def test_the_cheapest_pool_with_capacity_is_taken_and_empty_ones_are_no_errors(self) -> None:
        self.server.prices.set_spot(0.01, instance_type="c5.large")
        self.server.prices.set_spot(0.02, instance_type="m5.large")
        self.server.prices.set_spot(0.03, instance_type="r5.large")
        self.server.capacity.set(0, instance_type="c5.large", market="spot")
        answer = self.fleet(
            [self.over("r5.large"), self.over("c5.large"), self.over("m5.large")],
            spot=2,
            SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
        )
        self.assertEqual(self.launched_types(), ["m5.large", "m5.large"])
        self.assertEqual(answer["Errors"], [])

    def test_the_lowest_price_is_tried_first_even_where_nothing_is_left(self) -> None:
        self.server.prices.set_spot(0.01, instance_type="c5.large")
        self.server.capacity.set(0, instance_type="c5.large", market="spot")
        answer = self.fleet(
            [self.over("m5.large"), self.over("c5.large")],
            spot=1,
            SpotOptions={"AllocationStrategy": "lowest-price"},
        )
        self.assertEqual(self.launched_types(), ["m5.large"])
        self.assertEqual(
            [one["ErrorCode"] for one in answer["Errors"]], ["InsufficientInstanceCapacity"]
        )

    def test_a_part_is_launched_and_the_rest_is_told_by_override(self) -> None:
        self.server.capacity.set(1, instance_type="c5.large")
        self.server.capacity.set(0, instance_type="m5.large")
        answer = self.fleet(
            [self.over("c5.large"), self.over("m5.large", "b")],
            spot=3,
            SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
        )
        self.assertEqual(self.launched_types(), ["c5.large"])
        told = {
            (
                one["LaunchTemplateAndOverrides"]["Overrides"]["InstanceType"],
                one["LaunchTemplateAndOverrides"]["Overrides"]["SubnetId"],
                one["Lifecycle"],
                one["ErrorCode"],
            )
            for one in answer["Errors"]
        }
        self.assertEqual(
            told,
            {
                ("c5.large", self.subnets["us-east-1a"], "spot", "InsufficientInstanceCapacity"),
                ("m5.large", self.subnets["us-east-1b"], "spot", "InsufficientInstanceCapacity"),
            },
        )

    def test_a_wrong_override_is_an_error_of_its_own_and_stops_no_other(self) -> None:
        wrong_subnet = {"InstanceType": "c5.large", "SubnetId": "subnet-0123456789abcdef0"}
        self.server.prices.set_spot(0.5, instance_type="r5.large")
        answer = self.fleet(
            [
                self.over("m99.large"),
                wrong_subnet,
                self.over("r5.large", MaxPrice="0.1"),
                self.over("c5.large"),
            ],
            spot=1,
        )
        self.assertEqual(
            sorted(one["ErrorCode"] for one in answer["Errors"]),
            ["InvalidParameterValue", "InvalidSubnetID.NotFound", "SpotMaxPriceTooLow"],
        )
        self.assertEqual(self.launched_types(), ["c5.large"])

    def test_other_strategies_choose_otherwise(self) -> None:
        self.server.prices.set_spot(0.01, instance_type="c5.large")
        self.server.capacity.set(5, instance_type="c5.large")
        cases = {
            "lowest-price": ["c5.large", "c5.large"],
            "capacity-optimized": ["m5.large", "m5.large"],
            "diversified": ["c5.large", "m5.large"],
        }
        for strategy, expected in cases.items():
            answer = self.fleet(
                [self.over("m5.large"), self.over("c5.large")],
                spot=2,
                SpotOptions={"AllocationStrategy": strategy},
            )
            types = [one["InstanceType"] for one in answer["Instances"] for _ in one["InstanceIds"]]
            self.assertEqual(sorted(types), expected, strategy)

    def test_on_demand_goes_by_priority_if_asked(self) -> None:
        self.fleet(
            [self.over("m5.large", Priority=2), self.over("r5.large", Priority=1)],
            on_demand=1,
            OnDemandOptions={"AllocationStrategy": "prioritized"},
        )
        self.assertEqual(self.launched_types(), ["r5.large"])

    def test_weights_count_as_units(self) -> None:
        self.fleet([self.over("c5.large", WeightedCapacity=2)], spot=5)
        self.assertEqual(self.inspector.launched(), 3)

    def test_less_than_the_least_capacity_launches_nothing(self) -> None:
        self.server.capacity.set(2)
        options = {"MinTargetCapacity": 3, "SingleAvailabilityZone": True}
        answer = self.fleet([self.over("c5.large")], spot=3, SpotOptions=options)
        self.assertEqual(answer["Instances"], [])
        self.assertEqual(
            [one["ErrorCode"] for one in answer["Errors"]], ["InsufficientInstanceCapacity"]
        )
        self.assertEqual(self.inspector.launched(), 0)
        self.refused(
            "InvalidParameterCombination",
            self.fleet,
            [self.over("c5.large")],
            spot=3,
            SpotOptions={"MinTargetCapacity": 3},
        )

    def test_a_single_instance_type_is_kept_to(self) -> None:
        self.server.capacity.set(1, instance_type="c5.large")
        self.server.prices.set_spot(0.01, instance_type="c5.large")
        self.fleet(
            [self.over("c5.large"), self.over("m5.large")],
            spot=2,
            SpotOptions={"SingleInstanceType": True},
        )
        self.assertEqual(self.launched_types(), ["m5.large", "m5.large"])

    def test_quotas_are_told_in_the_errors(self) -> None:
        self.server.quotas.spot_cores = 2
        self.server.quotas.on_demand_cores = 0
        answer = self.fleet([self.over("c5.large")], spot=2, on_demand=1)
        codes = {one["Lifecycle"]: one["ErrorCode"] for one in answer["Errors"]}
        self.assertEqual(
            codes,
            {"spot": "MaxSpotInstanceCountExceeded", "on-demand": "VcpuLimitExceeded"},
        )
        self.assertEqual(self.inspector.launched(), 1)

    def test_a_missing_template_fails_the_call(self) -> None:
        self.refused(
            "InvalidLaunchTemplateId.NotFound",
            self.fleet,
            [{}],
            spot=1,
            template="lt-0123456789abcdef0",
        )

    def test_the_callers_token_is_not_the_instances(self) -> None:
        self.fleet([self.over("c5.large")], spot=1, ClientToken="mine")
        self.assertEqual(self.filtered(client_token="mine"), [])
        self.assertEqual(self.inspector.instances[0].origin_token, "mine")

    def test_a_deleted_fleet_ends_its_instances(self) -> None:
        answer = self.fleet([self.over("c5.large")], spot=1)
        self.refused(
            "InvalidParameterValue",
            self.ec2.delete_fleets,
            FleetIds=[answer["FleetId"]],
            TerminateInstances=False,
        )
        self.ec2.delete_fleets(FleetIds=[answer["FleetId"]], TerminateInstances=True)
        self.assertEqual(self.inspector.living, [])
