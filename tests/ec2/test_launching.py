"""Launches: parameters, client tokens, capacity, quotas and prices."""

from __future__ import annotations

import base64
from typing import Any

from . import faults
from .cases import ServerCase, tagged


class Launching(ServerCase):
    def test_what_was_asked_for_is_what_is_shown_and_what_the_inspector_tells(self) -> None:
        catalogue = self.server.catalogue
        catalogue.add_key_pair("key")
        arn = catalogue.add_instance_profile("worker")
        group = catalogue.add_group("builders")
        subnet = catalogue.add_subnet("10.77.0.0/24", "us-east-1c")
        self.refused(
            "InvalidParameter", self.run_instances, SubnetId=subnet, SecurityGroupIds=[group]
        )
        encrypted = {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "VolumeSize": 20}}
        launched = self.run_instances(
            KeyName="key",
            IamInstanceProfile={"Name": "worker"},
            SubnetId=subnet,
            PrivateIpAddress="10.77.0.11",
            UserData="#!/bin/sh\necho hello\n",
            MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            BlockDeviceMappings=[encrypted],
            InstanceInitiatedShutdownBehavior="terminate",
            TagSpecifications=[*tagged(pool="a"), *tagged("volume", pool="v")],
        )
        shown = self.describe()[0]
        self.assertEqual(shown["PrivateIpAddress"], "10.77.0.11")
        self.assertEqual(shown["Placement"]["AvailabilityZone"], "us-east-1c")
        self.assertNotIn("PublicIpAddress", shown)
        self.assertEqual(shown["KeyName"], "key")
        self.assertEqual(shown["IamInstanceProfile"]["Arn"], arn)
        self.assertEqual(shown["MetadataOptions"]["HttpTokens"], "required")
        self.assertEqual(shown["Tags"], [{"Key": "pool", "Value": "a"}])
        volumes = self.ec2.describe_volumes()["Volumes"]
        self.assertEqual([(one["Encrypted"], one["Size"]) for one in volumes], [(True, 20)])
        self.assertEqual(volumes[0]["Tags"], [{"Key": "pool", "Value": "v"}])
        instance = self.server.instance(launched[0])
        self.assertEqual(instance.user_data, "#!/bin/sh\necho hello\n")
        self.assertEqual(instance.sent["MetadataOptions"]["HttpTokens"], "required")
        self.assertEqual(instance.sent["BlockDeviceMappings"], [encrypted])
        self.assertEqual(instance.sent["KeyName"], "key")

    def test_a_launch_template_gives_what_the_call_leaves_open(self) -> None:
        template = self.template(
            InstanceType="c5.xlarge",
            UserData=base64.b64encode(b"from template").decode(),
            TagSpecifications=tagged(pool="a", of="template"),
        )
        launched = self.ec2.run_instances(
            LaunchTemplate={"LaunchTemplateId": template},
            MinCount=1,
            MaxCount=1,
            TagSpecifications=tagged(of="call"),
        )["Instances"]
        instance = self.server.instance(launched[0]["InstanceId"])
        self.assertEqual(instance.instance_type, "c5.xlarge")
        self.assertEqual(instance.user_data, "from template")
        self.assertEqual(
            instance.tags,
            {
                "pool": "a",
                "of": "call",
                "aws:ec2launchtemplate:id": template,
                "aws:ec2launchtemplate:version": "1",
            },
        )

    def test_what_does_not_exist_is_refused_by_its_own_code(self) -> None:
        cases: list[tuple[str, dict[str, Any]]] = [
            ("InvalidAMIID.NotFound", {"ImageId": "ami-0123456789abcdef0"}),
            ("InvalidAMIID.Malformed", {"ImageId": "image"}),
            ("InvalidSubnetID.NotFound", {"SubnetId": "subnet-0123456789abcdef0"}),
            ("InvalidGroup.NotFound", {"SecurityGroupIds": ["sg-0123456789abcdef0"]}),
            ("InvalidKeyPair.NotFound", {"KeyName": "nobody"}),
            ("InvalidParameterValue", {"IamInstanceProfile": {"Name": "nobody"}}),
            ("InvalidParameterValue", {"InstanceType": "m99.large"}),
            ("InvalidParameterValue", {"Placement": {"AvailabilityZone": "mars-1a"}}),
            (
                "InvalidLaunchTemplateId.NotFound",
                {"LaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0"}},
            ),
            (
                "InvalidLaunchTemplateName.NotFoundException",
                {"LaunchTemplate": {"LaunchTemplateName": "nobody"}},
            ),
        ]
        for code, parameters in cases:
            self.refused(code, self.run_instances, **parameters)
        self.assertEqual(self.inspector.launched(), 0)

    def test_what_does_not_go_together_is_refused(self) -> None:
        subnet = self.server.catalogue.subnets()["us-east-1a"]
        cases: list[tuple[str, dict[str, Any]]] = [
            ("InvalidParameterValue", {"MinCount": 2, "MaxCount": 1}),
            ("InvalidParameterValue", {"ImageId": self.server.catalogue.arm_image}),
            ("InvalidParameterValue", {"UserData": "x" * 16385}),
            ("InvalidParameterValue", {"TagSpecifications": tagged("fleet", a="b")}),
            ("InvalidParameterValue", {"TagSpecifications": tagged(**{"aws:mine": "b"})}),
            (
                "InvalidParameterCombination",
                {"SubnetId": subnet, "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet}]},
            ),
            (
                "InvalidParameterCombination",
                {
                    "InstanceMarketOptions": {
                        "MarketType": "spot",
                        "SpotOptions": {"InstanceInterruptionBehavior": "stop"},
                    }
                },
            ),
        ]
        for code, parameters in cases:
            self.refused(code, self.run_instances, **parameters)
        many = tagged(**{f"key-{number}": "" for number in range(51)})
        self.refused("TagLimitExceeded", self.run_instances, TagSpecifications=many)
        self.assertEqual(self.inspector.launched(), 0)

    def test_a_dry_run_launches_nothing(self) -> None:
        self.refused("DryRunOperation", self.run_instances, DryRun=True)
        self.assertEqual(self.inspector.launched(), 0)

    def test_images_are_found_by_owner_and_name_and_by_parameter(self) -> None:
        found = self.ec2.describe_images(
            Owners=["136693071363"], Filters=[{"Name": "name", "Values": ["debian-12-amd64-*"]}]
        )["Images"]
        newest = max(found, key=lambda image: image["CreationDate"])
        self.assertEqual(newest["ImageId"], self.image)
        ssm = self.server.client("ssm")
        value = ssm.get_parameter(Name=self.server.catalogue.parameter)["Parameter"]["Value"]
        self.assertEqual(value, self.image)
        self.assertRaises(ssm.exceptions.ParameterNotFound, ssm.get_parameter, Name="/images/none")

    def test_an_instance_without_a_subnet_has_a_public_address_once_it_runs(self) -> None:
        self.server.timings.pending = 10
        self.run_instances()
        self.assertNotIn("PublicIpAddress", self.describe()[0])
        self.server.advance(10)
        self.assertIn("PublicIpAddress", self.describe()[0])


class Idempotency(ServerCase):
    def test_the_same_token_and_parameters_give_the_same_instance(self) -> None:
        first = self.run_instances(ClientToken="one")
        self.assertEqual(self.run_instances(ClientToken="one"), first)
        self.assertNotEqual(self.run_instances(ClientToken="two"), first)
        self.assertEqual(self.inspector.launched(), 2)

    def test_a_repeated_call_tells_the_present_state(self) -> None:
        self.run_instances(ClientToken="one")
        self.server.settle()
        answer = self.ec2.run_instances(
            ImageId=self.image, InstanceType="c5.large", MinCount=1, MaxCount=1, ClientToken="one"
        )
        self.assertEqual(answer["Instances"][0]["State"]["Name"], "running")

    def test_other_parameters_are_a_mismatch(self) -> None:
        self.run_instances(ClientToken="one")
        self.refused(
            "IdempotentParameterMismatch",
            self.run_instances,
            ClientToken="one",
            InstanceType="c5.xlarge",
        )

    def test_a_token_holds_for_a_zone_where_the_call_names_one(self) -> None:
        subnets = list(self.server.catalogue.subnets().values())
        first = self.run_instances(ClientToken="one", SubnetId=subnets[0])
        again = self.run_instances(ClientToken="one", SubnetId=subnets[0])
        elsewhere = self.run_instances(ClientToken="one", SubnetId=subnets[1])
        self.assertEqual(first, again)
        self.assertNotEqual(first, elsewhere)

    def test_a_token_of_a_terminated_instance_is_an_error_for_a_day_and_then_new(self) -> None:
        first = self.run_instances(ClientToken="one")
        self.ec2.terminate_instances(InstanceIds=first)
        self.assertEqual(self.state(first[0]), "terminated")
        self.refused("IdempotentInstanceTerminated", self.run_instances, ClientToken="one")
        self.server.cloud.tokens.replay_terminated = True
        self.assertEqual(self.run_instances(ClientToken="one"), first)
        self.server.advance(86400)
        self.assertNotEqual(self.run_instances(ClientToken="one"), first)

    def test_a_launch_that_failed_leaves_the_token_free(self) -> None:
        self.server.capacity.set(0)
        self.refused("InsufficientInstanceCapacity", self.run_instances, ClientToken="one")
        self.server.capacity.clear()
        self.run_instances(ClientToken="one")
        self.assertEqual(self.inspector.launched(), 1)

    def test_a_lost_reply_and_boto3s_own_repetition_make_one_instance(self) -> None:
        self.server.faults.next("RunInstances", faults.reply_lost())
        self.ec2 = self.server.client(attempts=2)
        self.run_instances()  # boto3 makes up a token
        self.assertEqual(self.inspector.launched(), 1)
        self.assertEqual(self.inspector.count_calls("RunInstances"), 2)

    def test_a_token_of_more_than_64_characters_is_refused(self) -> None:
        self.refused("InvalidClientToken", self.run_instances, ClientToken="x" * 65)

    def test_a_fleet_is_made_once_for_a_token(self) -> None:
        template = self.template()
        first = self.fleet([{}], spot=1, template=template, ClientToken="one")
        again = self.fleet([{}], spot=1, template=template, ClientToken="one")
        self.assertEqual(first["FleetId"], again["FleetId"])
        self.assertEqual(first["Instances"], again["Instances"])
        self.assertEqual(self.inspector.launched(), 1)
        self.refused(
            "IdempotentParameterMismatch",
            self.fleet,
            [{}],
            spot=2,
            template=template,
            ClientToken="one",
        )


class CapacityAndQuotas(ServerCase):
    def test_a_pool_is_empty_and_the_next_one_is_not(self) -> None:
        subnets = self.server.catalogue.subnets()
        self.server.capacity.set(1, instance_type="c5.large", zone="us-east-1a", market="spot")
        market = {"MarketType": "spot"}
        here, there = subnets["us-east-1a"], subnets["us-east-1b"]
        first = self.run_instances(SubnetId=here, InstanceMarketOptions=market)
        error = self.refused(
            "InsufficientInstanceCapacity",
            self.run_instances,
            SubnetId=here,
            InstanceMarketOptions=market,
        )
        self.assertEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], 500)
        self.run_instances(SubnetId=there, InstanceMarketOptions=market)
        self.run_instances(SubnetId=here)
        self.run_instances(SubnetId=here, InstanceMarketOptions=market, InstanceType="c5.xlarge")
        self.ec2.terminate_instances(InstanceIds=first)
        self.run_instances(SubnetId=here, InstanceMarketOptions=market)

    def test_ec2_chooses_a_zone_with_room_if_the_call_names_none(self) -> None:
        self.server.capacity.set(0, zone="us-east-1[ab]")
        self.assertEqual(self.server.instance(self.run_instances()[0]).zone, "us-east-1c")

    def test_between_the_least_and_the_most_count_as_many_as_there_is_room_for(self) -> None:
        self.server.capacity.set(0)
        self.server.capacity.set(3, zone="us-east-1b")
        self.assertEqual(len(self.run_instances(MinCount=2, MaxCount=9)), 3)
        self.refused("InsufficientInstanceCapacity", self.run_instances)

    def test_quotas_have_their_own_codes(self) -> None:
        self.server.quotas.on_demand_cores = 4
        self.run_instances(2)
        self.refused("VcpuLimitExceeded", self.run_instances)
        self.server.quotas.spot_cores = 1
        self.refused("MaxSpotInstanceCountExceeded", self.run_spot)
        self.server.quotas.instances = 2
        self.refused("InstanceLimitExceeded", self.run_instances)

    def test_a_type_that_a_zone_does_not_offer_is_unsupported(self) -> None:
        self.server.capacity.withdraw("c5.large", "us-east-1a")
        subnet = self.server.catalogue.subnets()["us-east-1a"]
        self.refused("Unsupported", self.run_instances, SubnetId=subnet)
        self.run_instances()

    def test_a_price_below_the_markets_is_too_low(self) -> None:
        self.server.prices.set_spot(0.05, instance_type="c5.large")
        self.refused("SpotMaxPriceTooLow", self.run_spot, spot={"MaxPrice": "0.04"})
        self.run_spot(spot={"MaxPrice": "0.06"})

    def test_spot_prices_have_a_history(self) -> None:
        now = self.server.clock.seconds()
        self.server.prices.set_spot(0.04, instance_type="c5.large", at=now)
        self.server.prices.set_spot(0.05, instance_type="c5.large", zone="us-east-1a", at=now + 60)

        def prices(**parameters: Any) -> list[str]:
            answer = self.ec2.describe_spot_price_history(
                InstanceTypes=["c5.large"],
                AvailabilityZone="us-east-1a",
                ProductDescriptions=["Linux/UNIX"],
                **parameters,
            )
            return [entry["SpotPrice"] for entry in answer["SpotPriceHistory"]]

        self.assertEqual(prices(), ["0.040000", "0.030000"])
        self.assertEqual(prices(StartTime=now, EndTime=now), ["0.040000"])
        self.server.advance(60)
        self.assertEqual(prices(StartTime=now), ["0.050000", "0.040000"])
        instance = self.server.instance(self.run_spot())
        self.assertEqual(instance.hourly_price, 0.05)
