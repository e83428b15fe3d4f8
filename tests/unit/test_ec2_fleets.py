"""The requests for fleets, and what is made of their replies."""

from __future__ import annotations

import base64
from typing import Any

import boto3
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.ec2.candidates import Candidate, Market, candidates
from buildbot_drydock.latent.ec2.fields import SpotFields, VolumeFields
from buildbot_drydock.latent.ec2.fleets import (
    concerned,
    create_fleet,
    create_launch_template,
    launched,
    template_data,
)
from buildbot_drydock.latent.ec2.orders import sentence
from buildbot_drydock.latent.ec2.requests import FoundImage, Pool, Settings, client_token

POOL = Pool(installation="ours", blueprint="cloud")
TYPES, SUBNETS = ["m7i.large", "c7i.large"], ["subnet-01234567", "subnet-12345678"]
SPOT = candidates(TYPES, SUBNETS, [Market.SPOT])
ON_DEMAND = candidates(TYPES, SUBNETS, [Market.ON_DEMAND])
IMAGE = FoundImage(id="ami-01234567", root_device="/dev/xvda", devices=("/dev/xvda",))


def data(market: Market = Market.SPOT, base: Any = None, **settings: Any) -> dict[str, Any]:
    return template_data(Settings(**settings), POOL, "drydock-1", market, IMAGE, "data", base or {})


def fleet(among: tuple[Candidate, ...] = SPOT, number: int = 0, **settings: Any) -> dict[str, Any]:
    return create_fleet(Settings(**settings), POOL, "drydock-1", number, among, "drydock-x")


def tags(specifications: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    return {
        each["ResourceType"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        for each in specifications
    }


class TestRequests(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = boto3.session.Session().client(
            "ec2", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
        )

    def accepted(self, method: str, made: dict[str, Any]) -> None:
        """See that boto3 knows all that is in a request."""
        with Stubber(self.client) as stubber:
            stubber.add_response(method, {}, made)
            getattr(self.client, method)(**made)

    def test_all_that_can_be_asked_for_is_known_to_the_api(self) -> None:
        for settings in (
            {},
            {"associate_public_ip": True, "security_groups": ("sg-1",), "max_price": 0.1},
            {"instance_profile": "builds", "key_name": "me", "tags": {"a": "b"}},
            {"volumes": (VolumeFields(device="root", size=9, iops=3000, kms_key="k"),)},
            {"places_are_zones": True, "require_imdsv2": False},
        ):
            for among in (SPOT, ON_DEMAND, candidates(TYPES, (), [Market.SPOT])):
                made = data(among[0].market, **settings)
                template = create_launch_template(POOL, "drydock-1", made)
                self.accepted("create_launch_template", template)
                self.accepted("create_fleet", fleet(among, **settings))

    def test_each_strategy_is_known_to_the_api(self) -> None:
        shape = self.client.meta.service_model.operation_model("CreateFleet").input_shape
        options = shape.members["SpotOptions"].members["AllocationStrategy"]
        field = SpotFields.model_json_schema()["properties"]["strategy"]
        self.assertEqual(set(field["enum"]), set(options.enum))

    def test_one_instance_is_asked_for_of_one_market_and_all_its_candidates(self) -> None:
        for among, kind in ((SPOT, "spot"), (ON_DEMAND, "on-demand")):
            made = fleet(among)
            self.assertEqual(made["Type"], "instant")
            target = made["TargetCapacitySpecification"]
            self.assertEqual(target["TotalTargetCapacity"], 1)
            self.assertEqual(target["DefaultTargetCapacityType"], kind)
            self.assertEqual("SpotOptions" in made, kind == "spot")
            (configuration,) = made["LaunchTemplateConfigs"]
            self.assertEqual(
                [(o["InstanceType"], o["SubnetId"]) for o in configuration["Overrides"]],
                [(each.instance_type, each.place) for each in among],
            )

    def test_the_nth_request_for_a_host_has_the_nth_token_whatever_it_asks_for(self) -> None:
        for number in range(3):
            for among in (SPOT, SPOT[:1], ON_DEMAND):
                made = fleet(among, number)
                self.assertEqual(made["ClientToken"], client_token(POOL, "drydock-1", number))

    def test_the_most_that_is_paid_is_said_for_spot_alone(self) -> None:
        for among, price in ((SPOT, "0.1"), (ON_DEMAND, None)):
            (configuration,) = fleet(among, max_price=0.1)["LaunchTemplateConfigs"]
            prices = {override.get("MaxPrice") for override in configuration["Overrides"]}
            self.assertEqual(prices, {price})

    def test_all_that_is_made_bears_our_tags(self) -> None:
        for market, kinds in (
            (Market.SPOT, {"instance", "volume", "spot-instances-request"}),
            (Market.ON_DEMAND, {"instance", "volume"}),
        ):
            made = tags(data(market)["TagSpecifications"])
            self.assertEqual(made.keys(), kinds)
            for each in made.values():
                self.assertEqual(
                    each.items() & POOL.tags("drydock-1").items(),
                    each.items() - {("Name", "cloud drydock-1")},
                )
        self.assertEqual(tags(fleet()["TagSpecifications"]).keys(), {"fleet"})
        template = create_launch_template(POOL, "drydock-1", data())
        self.assertEqual(
            tags(template["TagSpecifications"]), {"launch-template": POOL.tags("drydock-1")}
        )

    def test_a_template_of_the_user_s_fills_in_what_is_not_said(self) -> None:
        base = {
            "InstanceType": "t3.micro",
            "InstanceMarketOptions": {"MarketType": "spot"},
            "UserData": "dGhlaXJz",
            "EbsOptimized": True,
            "Placement": {},
            "ImageId": "ami-76543210",
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "x"}]},
                {"ResourceType": "instance", "Tags": [{"Key": "drydock:token", "Value": "x"}]},
                {"ResourceType": "network-interface", "Tags": [{"Key": "n", "Value": "x"}]},
                {"ResourceType": "spot-instances-request", "Tags": [{"Key": "n", "Value": "x"}]},
            ],
        }
        made = data(Market.ON_DEMAND, base)
        self.assertTrue({"InstanceType", "InstanceMarketOptions", "Placement"}.isdisjoint(made))
        self.assertEqual((made["EbsOptimized"], made["ImageId"]), (True, IMAGE.id))
        self.assertEqual(base64.b64decode(made["UserData"]), b"data")
        found = tags(made["TagSpecifications"])
        self.assertEqual(found.keys(), {"instance", "volume", "network-interface"})
        self.assertEqual(
            (found["instance"]["team"], found["instance"]["drydock:token"]), ("x", "drydock-1")
        )

    @given(st.text(), st.text())
    def test_a_template_is_named_by_what_is_in_it(self, one: str, other: str) -> None:
        def name(text: str, token: str = "drydock-1") -> str:
            return str(
                create_launch_template(POOL, token, {"UserData": text})["LaunchTemplateName"]
            )

        self.assertRegex(name(one), r"^[a-zA-Z0-9().\-/_]{3,128}$")
        self.assertEqual(name(one) == name(other), one == other)
        self.assertNotEqual(name(one), name(one, "drydock-2"))


class TestReplies(SynchronousTestCase):
    def about(self, **override: str) -> list[Candidate]:
        return concerned({"LaunchTemplateAndOverrides": {"Overrides": override}}, SPOT)

    def test_an_error_is_about_the_candidate_that_it_names(self) -> None:
        for each in SPOT:
            self.assertEqual(
                self.about(InstanceType=each.instance_type, SubnetId=each.place), [each]
            )

    def test_one_that_names_less_is_about_all_that_fit(self) -> None:
        self.assertEqual(self.about(InstanceType=TYPES[0]), list(SPOT[:2]))
        self.assertEqual(self.about(SubnetId=SUBNETS[0]), [SPOT[0], SPOT[2]])
        self.assertEqual(self.about(), list(SPOT))
        self.assertEqual(concerned({}, SPOT), list(SPOT))
        self.assertEqual(self.about(InstanceType="x1.large"), [])

    def test_where_aws_may_choose_the_zone_it_is_told_and_not_asked_for(self) -> None:
        among = candidates(TYPES, (), [Market.SPOT])
        told = {"InstanceType": TYPES[1], "AvailabilityZone": "eu-central-1b"}
        found = concerned({"LaunchTemplateAndOverrides": {"Overrides": told}}, among)
        self.assertEqual(found, [among[1]])

    def test_the_instances_are_told_in_groups(self) -> None:
        groups = [{"InstanceIds": ["i-1", "i-2"]}, {"InstanceIds": []}, {"InstanceIds": ["i-3"]}]
        found = [number for number, _ in launched({"Instances": groups})]
        self.assertEqual(found, ["i-1", "i-2", "i-3"])
        self.assertEqual(list(launched({})), [])

    def test_a_long_order_is_told_in_few_words(self) -> None:
        self.assertEqual(sentence(SPOT[:1]), "m7i.large in subnet-01234567 (spot)")
        self.assertTrue(sentence(SPOT).endswith("and 1 more"))
