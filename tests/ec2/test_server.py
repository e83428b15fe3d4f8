"""The test server does what EC2 documents, as boto3 sees it."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError
from twisted.trial.unittest import SynchronousTestCase

from . import EC2Server, Instance, ScriptedClock, Timings, faults, real_time_server


class ServerCase(SynchronousTestCase):
    """A server of its own for each test, and a client that repeats nothing."""

    timings = Timings()

    def setUp(self) -> None:
        self.server = EC2Server(timings=Timings(**vars(self.timings))).start()
        self.addCleanup(self.server.stop)
        self.ec2 = self.server.client()
        self.inspector = self.server.inspector
        self.image = self.server.catalogue.newest_image

    def run_instances(self, count: int = 1, **parameters: Any) -> list[str]:
        """Launch, and return the ids."""
        asked = {
            "ImageId": self.image,
            "InstanceType": "c5.large",
            "MinCount": count,
            "MaxCount": count,
            **parameters,
        }
        return [one["InstanceId"] for one in self.ec2.run_instances(**asked)["Instances"]]

    def run_spot(self, kind: str = "one-time", **parameters: Any) -> str:
        options = {"SpotInstanceType": kind, **parameters.pop("spot", {})}
        market = {"MarketType": "spot", "SpotOptions": options}
        return self.run_instances(InstanceMarketOptions=market, **parameters)[0]

    def describe(self, **parameters: Any) -> list[dict[str, Any]]:
        """The instances of one page."""
        answer = self.ec2.describe_instances(**parameters)
        return [one for group in answer["Reservations"] for one in group["Instances"]]

    def ids(self, **parameters: Any) -> list[str]:
        return [one["InstanceId"] for one in self.describe(**parameters)]

    def filtered(self, **filters: str) -> list[str]:
        """The ids that fit filters, whose names are written with `_` for `-` here."""
        return self.ids(
            Filters=[
                {"Name": name.replace("_", "-"), "Values": [value]}
                for name, value in filters.items()
            ]
        )

    def state(self, instance_id: str) -> str:
        return str(self.describe(InstanceIds=[instance_id])[0]["State"]["Name"])

    def refused(self, code: str, call: Any, *args: Any, **parameters: Any) -> ClientError:
        """Assert that a call is answered with an error of that code."""
        error = self.assertRaises(ClientError, call, *args, **parameters)
        self.assertEqual(error.response["Error"]["Code"], code)
        return error

    def template(self, **data: Any) -> str:
        """A launch template; returns its id."""
        content = {"ImageId": self.image, "InstanceType": "c5.large", **data}
        answer = self.ec2.create_launch_template(
            LaunchTemplateName=f"template-{len(self.inspector.calls)}", LaunchTemplateData=content
        )
        return str(answer["LaunchTemplate"]["LaunchTemplateId"])

    def fleet(
        self, overrides: list[dict[str, Any]], spot: int = 0, on_demand: int = 0, **parameters: Any
    ) -> dict[str, Any]:
        """CreateFleet of type instant."""
        template = parameters.pop("template", None) or self.template()
        asked = {
            "Type": "instant",
            "LaunchTemplateConfigs": [
                {
                    "LaunchTemplateSpecification": {
                        "LaunchTemplateId": template,
                        "Version": "$Default",
                    },
                    "Overrides": overrides,
                }
            ],
            "TargetCapacitySpecification": {
                "TotalTargetCapacity": spot + on_demand,
                "SpotTargetCapacity": spot,
                "OnDemandTargetCapacity": on_demand,
                "DefaultTargetCapacityType": "spot",
            },
            **parameters,
        }
        return dict(self.ec2.create_fleet(**asked))


def tagged(resource_type: str = "instance", **tags: str) -> list[dict[str, Any]]:
    """TagSpecifications of one type of resource."""
    return [
        {
            "ResourceType": resource_type,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
    ]


class Times(ServerCase):
    timings = Timings(pending=30, status_checks=60, stopping=20, shutting_down=40)

    def status(self, instance_id: str) -> str:
        answer = self.ec2.describe_instance_status(
            InstanceIds=[instance_id], IncludeAllInstances=True
        )
        return str(answer["InstanceStatuses"][0]["InstanceStatus"]["Status"])

    def test_an_instance_is_pending_then_running_then_checked(self) -> None:
        instance_id = self.run_instances()[0]
        self.assertEqual(self.state(instance_id), "pending")
        self.server.advance(29)
        self.assertEqual(self.state(instance_id), "pending")
        self.assertEqual(self.status(instance_id), "not-applicable")
        self.server.advance(1)
        self.assertEqual(self.state(instance_id), "running")
        self.assertEqual(self.status(instance_id), "initializing")
        self.server.advance(60)
        self.assertEqual(self.status(instance_id), "ok")
        self.server.instance(instance_id).impaired = True
        self.assertEqual(self.status(instance_id), "impaired")

    def test_status_lists_running_instances_only_unless_asked(self) -> None:
        self.run_instances()
        self.assertEqual(self.ec2.describe_instance_status()["InstanceStatuses"], [])
        self.server.advance(90)
        found = self.ec2.describe_instance_status(
            Filters=[{"Name": "instance-status.status", "Values": ["ok"]}]
        )
        self.assertEqual(len(found["InstanceStatuses"]), 1)

    def test_termination_takes_its_time_and_is_idempotent(self) -> None:
        instance_id = self.run_instances()[0]
        self.server.advance(30)
        changes = []
        for delay in (1, 40, 0):
            answer = self.ec2.terminate_instances(InstanceIds=[instance_id])
            change = answer["TerminatingInstances"][0]
            changes.append((change["PreviousState"]["Name"], change["CurrentState"]["Name"]))
            self.server.advance(delay)
        self.assertEqual(
            changes,
            [
                ("running", "shutting-down"),
                ("shutting-down", "shutting-down"),
                ("terminated", "terminated"),
            ],
        )
        shown = self.describe(InstanceIds=[instance_id])[0]
        self.assertEqual(shown["StateReason"]["Code"], "Client.UserInitiatedShutdown")
        self.assertNotIn("PrivateIpAddress", shown)

    def test_a_stopped_instance_starts_again_with_its_private_address(self) -> None:
        instance_id = self.run_instances()[0]
        self.refused("IncorrectInstanceState", self.ec2.stop_instances, InstanceIds=[instance_id])
        self.server.advance(30)
        before = self.describe(InstanceIds=[instance_id])[0]
        self.ec2.stop_instances(InstanceIds=[instance_id])
        self.assertEqual(self.state(instance_id), "stopping")
        self.server.advance(20)
        stopped = self.describe(InstanceIds=[instance_id])[0]
        self.assertEqual(stopped["State"]["Name"], "stopped")
        self.assertNotIn("PublicIpAddress", stopped)
        self.server.capacity.set(0)
        self.refused(
            "InsufficientInstanceCapacity", self.ec2.start_instances, InstanceIds=[instance_id]
        )
        self.server.capacity.clear()
        self.ec2.start_instances(InstanceIds=[instance_id])
        self.assertEqual(self.state(instance_id), "pending")
        self.server.advance(30)
        after = self.describe(InstanceIds=[instance_id])[0]
        self.assertEqual(after["State"]["Name"], "running")
        self.assertEqual(after["PrivateIpAddress"], before["PrivateIpAddress"])

    def test_an_instance_that_ends_while_pending_never_runs(self) -> None:
        instance_id = self.run_instances()[0]
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.advance(100)
        states = [state for _, state in self.server.instance(instance_id).history]
        self.assertEqual(states, ["pending", "shutting-down", "terminated"])

    def test_what_is_due_happens_in_order_within_one_advance(self) -> None:
        instance_id = self.run_instances()[0]
        start = self.server.clock.seconds()
        self.server.advance(10)
        self.server.cloud.later(30, lambda: self.server.shut_down_from_inside(instance_id))  # at 40
        self.server.advance(500)
        history = self.server.instance(instance_id).history
        self.assertEqual(
            [(at - start, state) for at, state in history],
            [(0, "pending"), (30, "running"), (40, "stopping"), (60, "stopped")],
        )

    def test_a_terminated_instance_is_listed_for_an_hour_and_then_unknown(self) -> None:
        instance_id = self.run_instances()[0]
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.advance(40 + 3599)
        self.assertEqual(self.ids(), [instance_id])
        self.server.advance(1)
        self.assertEqual(self.ids(), [])
        self.refused(
            "InvalidInstanceID.NotFound", self.ec2.describe_instances, InstanceIds=[instance_id]
        )

    def test_a_failed_boot_tells_its_reason(self) -> None:
        self.server.fail_next_boot("Client.VolumeLimitExceeded")
        first, second = self.run_instances()[0], self.run_instances()[0]
        self.server.advance(30)
        shown = self.describe(InstanceIds=[first])[0]
        self.assertEqual(shown["State"]["Name"], "terminated")
        self.assertEqual(shown["StateReason"]["Code"], "Client.VolumeLimitExceeded")
        self.assertEqual(self.state(second), "running")

    def test_only_a_scripted_clock_is_advanced(self) -> None:
        other = real_time_server()
        self.assertRaises(TypeError, other.advance, 1)


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


class Listing(ServerCase):
    def test_filters_choose(self) -> None:
        spot = self.run_spot(ClientToken="s", TagSpecifications=tagged(pool="a", night=""))
        plain = self.run_instances(ClientToken="p", TagSpecifications=tagged(pool="ab"))[0]
        self.assertEqual(self.filtered(client_token="s"), [spot])
        self.assertEqual(self.filtered(instance_lifecycle="spot"), [spot])
        self.assertEqual(self.ids(Filters=[{"Name": "tag:pool", "Values": ["a"]}]), [spot])
        self.assertEqual(self.ids(Filters=[{"Name": "tag:pool", "Values": ["a*"]}]), [spot, plain])
        self.assertEqual(self.filtered(tag_key="night"), [spot])
        self.ec2.terminate_instances(InstanceIds=[plain])
        self.assertEqual(self.filtered(instance_state_name="terminated"), [plain])
        self.assertEqual(self.filtered(tag_key="pool", instance_state_name="running"), [spot])

    def test_unknown_filters_are_refused(self) -> None:
        error = self.refused("InvalidParameterValue", self.filtered, flavour="x")
        self.assertIn("flavour", str(error))
        for call in (
            self.ec2.describe_spot_instance_requests,
            self.ec2.describe_instance_status,
            self.ec2.describe_spot_price_history,
        ):
            self.refused(
                "InvalidParameterValue", call, Filters=[{"Name": "flavour", "Values": ["x"]}]
            )

    def test_more_than_200_values_are_refused(self) -> None:
        values = [str(number) for number in range(201)]
        self.refused(
            "FilterLimitExceeded",
            self.ec2.describe_instances,
            Filters=[{"Name": "client-token", "Values": values}],
        )

    def test_pages_have_the_size_asked_for_and_bear_no_other_query(self) -> None:
        launched = sorted(self.run_instances(12))
        pages = list(
            self.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5})
        )
        found = [
            [one["InstanceId"] for group in page["Reservations"] for one in group["Instances"]]
            for page in pages
        ]
        self.assertEqual([len(page) for page in found], [5, 5, 2])
        self.assertEqual(sorted(each for page in found for each in page), launched)
        token = pages[0]["NextToken"]
        for bad in ("nonsense", "bm9uc2Vuc2U="):
            self.refused("InvalidNextToken", self.ec2.describe_instances, NextToken=bad)
        self.refused(
            "InvalidNextToken",
            self.ec2.describe_instances,
            NextToken=token,
            Filters=[{"Name": "instance-state-name", "Values": ["running"]}],
        )

    def test_what_ends_between_two_pages_shifts_nothing(self) -> None:
        launched = self.run_instances(7)
        first = self.ec2.describe_instances(MaxResults=5)
        shown = [one["InstanceId"] for one in first["Reservations"][0]["Instances"]]
        self.server.instance(shown[0]).forgotten = True
        rest = self.ids(MaxResults=5, NextToken=first["NextToken"])
        self.assertEqual(sorted(shown + rest), sorted(launched))

    def test_page_sizes_out_of_bounds_are_refused(self) -> None:
        for size in (4, 1001):
            self.refused("InvalidParameterValue", self.ec2.describe_instances, MaxResults=size)

    def test_a_page_size_with_ids_is_refused(self) -> None:
        launched = self.run_instances()
        self.refused(
            "InvalidParameterCombination",
            self.ec2.describe_instances,
            InstanceIds=launched,
            MaxResults=5,
        )

    def test_malformed_and_unknown_ids_are_told_apart(self) -> None:
        for call in (self.ec2.describe_instances, self.ec2.terminate_instances):
            self.refused("InvalidInstanceID.Malformed", call, InstanceIds=["nope"])
            self.refused("InvalidInstanceID.NotFound", call, InstanceIds=["i-0123456789abcdef0"])

    def test_one_unknown_id_ends_none_of_the_others(self) -> None:
        launched = self.run_instances()
        self.refused(
            "InvalidInstanceID.NotFound",
            self.ec2.terminate_instances,
            InstanceIds=[*launched, "i-0123456789abcdef0"],
        )
        self.assertEqual(self.state(launched[0]), "running")


class Consistency(ServerCase):
    def test_a_new_instance_is_not_listed_for_a_while(self) -> None:
        self.server.timings.listing_lag = 15
        launched = self.run_instances()
        self.assertEqual(self.ids(), [])
        for call in (self.ec2.describe_instances, self.ec2.terminate_instances):
            self.refused("InvalidInstanceID.NotFound", call, InstanceIds=launched)
        self.assertEqual([one.id for one in self.inspector.living], launched)
        self.server.advance(15)
        self.assertEqual(self.ids(), launched)

    def test_a_new_instance_is_not_listed_for_some_calls(self) -> None:
        self.server.timings.listing_lag_calls = 2
        launched = self.run_instances()
        self.assertEqual(self.ids(), [])
        self.refused(
            "InvalidInstanceID.NotFound", self.ec2.describe_instances, InstanceIds=launched
        )
        self.assertEqual(self.ids(), launched)

    def test_tags_show_later_than_their_instance(self) -> None:
        self.server.timings.tag_lag = 15
        launched = self.run_instances(TagSpecifications=tagged(pool="a"))
        by_tag = [{"Name": "tag:pool", "Values": ["a"]}]
        self.assertEqual(self.ids(), launched)
        self.assertEqual(self.ids(Filters=by_tag), [])
        self.assertNotIn("Tags", self.describe()[0])
        self.server.advance(15)
        self.assertEqual(self.ids(Filters=by_tag), launched)


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


class Spot(ServerCase):
    def setUp(self) -> None:
        super().setUp()
        self.server.catalogue.add_queue("warnings")
        self.sqs = self.server.client("sqs")
        self.queue = self.sqs.get_queue_url(QueueName="warnings")["QueueUrl"]

    def events(self) -> list[dict[str, Any]]:
        """The events in the queue, taken out of it."""
        messages = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        found = []
        for message in messages.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
        return found

    def request(self) -> dict[str, Any]:
        return dict(self.ec2.describe_spot_instance_requests()["SpotInstanceRequests"][0])

    def test_a_spot_instance_has_a_request(self) -> None:
        instance_id = self.run_spot(TagSpecifications=tagged("spot-instances-request", a="b"))
        request = self.request()
        self.assertEqual(request["InstanceId"], instance_id)
        self.assertEqual((request["State"], request["Status"]["Code"]), ("active", "fulfilled"))
        self.assertEqual(request["Tags"], [{"Key": "a", "Value": "b"}])
        shown = self.describe()[0]
        self.assertEqual(shown["SpotInstanceRequestId"], request["SpotInstanceRequestId"])
        self.assertEqual(shown["InstanceLifecycle"], "spot")

    def test_an_interruption_is_warned_of_by_event_by_polling_and_on_the_instance(self) -> None:
        instance_id = self.run_spot()
        self.server.settle()
        self.server.interrupt(instance_id, notice=120)
        event = self.events()[0]
        self.assertEqual(event["detail-type"], "EC2 Spot Instance Interruption Warning")
        self.assertEqual(event["source"], "aws.ec2")
        self.assertEqual(
            event["detail"], {"instance-id": instance_id, "instance-action": "terminate"}
        )
        self.assertEqual(event["time"], "2026-01-01T00:00:00Z")
        self.assertEqual(self.request()["Status"]["Code"], "marked-for-termination")
        self.assertEqual(self.state(instance_id), "running")
        notice = self.server.instance_metadata(instance_id)["meta-data/spot/instance-action"]
        self.assertEqual(
            json.loads(notice), {"action": "terminate", "time": "2026-01-01T00:02:00Z"}
        )
        self.server.advance(119)
        self.assertEqual(self.state(instance_id), "running")
        self.server.advance(1)
        shown = self.describe()[0]
        self.assertEqual(shown["State"]["Name"], "terminated")
        self.assertEqual(shown["StateReason"]["Code"], "Server.SpotInstanceTermination")
        request = self.request()
        self.assertEqual(request["State"], "closed")
        self.assertEqual(request["Status"]["Code"], "instance-terminated-no-capacity")

    def test_an_interruption_without_notice_is_told_by_nothing(self) -> None:
        instance_id = self.run_spot()
        self.server.settle()
        self.server.interrupt(instance_id, notice=0, status="instance-terminated-by-price")
        self.assertEqual(self.state(instance_id), "terminated")
        self.assertEqual(self.request()["Status"]["Code"], "instance-terminated-by-price")
        self.assertEqual(self.events(), [])

    def test_an_instance_ended_before_its_deadline_is_ended_by_the_user(self) -> None:
        instance_id = self.run_spot()
        self.server.interrupt(instance_id, notice=120)
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.advance(120)
        reason = self.describe()[0]["StateReason"]["Code"]
        self.assertEqual(reason, "Client.UserInitiatedShutdown")
        self.assertEqual(self.request()["Status"]["Code"], "instance-terminated-by-user")

    def test_a_rebalance_recommendation_is_an_event(self) -> None:
        instance_id = self.run_spot()
        self.server.recommend_rebalance(instance_id)
        event = self.events()[0]
        self.assertEqual(event["detail-type"], "EC2 Instance Rebalance Recommendation")
        self.assertEqual(event["detail"], {"instance-id": instance_id})
        self.assertIn(
            "meta-data/events/recommendations/rebalance",
            self.server.instance_metadata(instance_id),
        )

    def test_a_persistent_request_brings_back_an_instance_without_tags(self) -> None:
        first = self.run_spot("persistent", TagSpecifications=tagged(pool="a"))
        self.ec2.terminate_instances(InstanceIds=[first])
        self.assertEqual(self.request()["State"], "open")
        self.server.advance(30)
        second = self.inspector.living[0]
        self.assertNotEqual(second.id, first)
        self.assertEqual(second.tags, {})
        request = self.request()
        self.assertEqual((request["State"], request["InstanceId"]), ("active", second.id))

    def test_a_persistent_request_waits_for_capacity(self) -> None:
        first = self.run_spot("persistent")
        self.server.capacity.set(0)
        self.server.interrupt(first, notice=0)
        self.server.advance(60)
        self.assertEqual(self.request()["Status"]["Code"], "capacity-not-available")
        self.server.capacity.clear()
        self.server.advance(30)
        self.assertEqual(len(self.inspector.living), 1)

    def test_a_cancelled_request_brings_back_nothing(self) -> None:
        instance_id = self.run_spot("persistent")
        request_id = self.request()["SpotInstanceRequestId"]
        self.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request_id])
        self.assertEqual(self.request()["Status"]["Code"], "request-canceled-and-instance-running")
        self.assertEqual(self.state(instance_id), "running")
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.advance(3000)
        self.assertEqual(self.inspector.living, [])
        self.assertEqual(self.inspector.open_spot_requests(), [])

    def test_requests_are_found_by_state_and_missing_ones_refused(self) -> None:
        self.run_spot()
        by_state = [{"Name": "state", "Values": ["open"]}]
        found = self.ec2.describe_spot_instance_requests(Filters=by_state)
        self.assertEqual(found["SpotInstanceRequests"], [])
        for call in (
            self.ec2.describe_spot_instance_requests,
            self.ec2.cancel_spot_instance_requests,
        ):
            self.refused(
                "InvalidSpotInstanceRequestID.NotFound", call, SpotInstanceRequestIds=["sir-0"]
            )

    def test_a_one_time_spot_instance_can_not_be_stopped(self) -> None:
        instance_id = self.run_spot()
        self.server.settle()
        self.refused("UnsupportedOperation", self.ec2.stop_instances, InstanceIds=[instance_id])
        self.server.shut_down_from_inside(instance_id)
        self.assertEqual(self.state(instance_id), "terminated")

    def test_an_interruption_may_stop_instead(self) -> None:
        instance_id = self.run_spot("persistent", spot={"InstanceInterruptionBehavior": "stop"})
        self.server.settle()
        self.server.interrupt(instance_id, notice=120)
        self.assertEqual(self.events()[0]["detail"]["instance-action"], "stop")
        self.assertEqual(self.request()["Status"]["Code"], "marked-for-stop")
        self.server.advance(120)
        self.assertEqual(self.state(instance_id), "stopped")

    def test_on_demand_instances_are_not_interrupted(self) -> None:
        instance_id = self.run_instances()[0]
        self.assertRaises(ValueError, self.server.interrupt, instance_id)


class Faults(ServerCase):
    def test_each_error_has_its_code_and_status(self) -> None:
        cases = [
            (faults.throttled(), "RequestLimitExceeded", 503),
            (faults.throttling(), "Throttling", 400),
            (faults.request_expired(), "RequestExpired", 400),
            (faults.expired_token(), "ExpiredToken", 400),
            (faults.auth_failure(), "AuthFailure", 401),
            (faults.internal_error(), "InternalError", 500),
            (faults.unavailable(), "Unavailable", 503),
            (faults.no_capacity(), "InsufficientInstanceCapacity", 500),
            (
                faults.error("InsufficientFreeAddressesInSubnet"),
                "InsufficientFreeAddressesInSubnet",
                400,
            ),
        ]
        for fault, code, status in cases:
            self.server.faults.next("RunInstances", fault)
            error = self.refused(code, self.run_instances)
            self.assertEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], status)
        self.assertEqual(self.inspector.launched(), 0)
        self.run_instances()

    def test_rules_choose_actions_and_calls(self) -> None:
        self.server.faults.next("Describe*", faults.throttled(), calls=2, skip=1)
        self.run_instances()
        self.ids()
        for _ in range(2):
            self.refused("RequestLimitExceeded", self.ids)
        self.ids()
        self.server.faults.always("*", faults.unavailable())
        for _ in range(3):
            self.refused("Unavailable", self.ids)
        self.server.faults.clear()
        self.ids()

    def test_chance_is_seeded(self) -> None:
        def outcomes(seed: int) -> list[bool]:
            rules = faults.Faults(seed)
            rules.sometimes("*", faults.throttled(), probability=0.5)
            return [rules.strike("RunInstances") is not None for _ in range(200)]

        self.assertEqual(outcomes(1), outcomes(1))
        self.assertNotEqual(outcomes(1), outcomes(2))
        self.assertTrue(60 < sum(outcomes(1)) < 140)

    def test_a_connection_breaks_before_the_work(self) -> None:
        self.server.faults.next("RunInstances", faults.connection_reset())
        self.assertRaises(ConnectionClosedError, self.run_instances)
        self.assertEqual(self.inspector.launched(), 0)
        self.assertEqual(self.inspector.calls_of("RunInstances")[0].status, 0)

    def test_a_reply_is_lost_after_the_work(self) -> None:
        self.server.faults.next("RunInstances", faults.reply_lost())
        self.assertRaises(ConnectionClosedError, self.run_instances)
        self.assertEqual(self.inspector.launched(), 1)
        self.server.faults.next("TerminateInstances", faults.reply_lost())
        self.assertRaises(
            ConnectionClosedError, self.ec2.terminate_instances, InstanceIds=self.ids()
        )
        self.assertEqual(self.inspector.living, [])

    def test_an_error_may_come_after_the_work(self) -> None:
        self.server.faults.next("RunInstances", faults.internal_error(after_work=True))
        self.refused("InternalError", self.run_instances)
        self.assertEqual(self.inspector.launched(), 1)

    def test_garbage_is_no_answer(self) -> None:
        self.server.faults.next("DescribeInstances", faults.garbage())
        self.assertRaises(ResponseParserError, self.ids)

    def test_other_services_fail_in_their_own_words(self) -> None:
        self.server.faults.next("GetParameter", faults.expired_token())
        self.refused(
            "ExpiredToken",
            self.server.client("ssm").get_parameter,
            Name=self.server.catalogue.parameter,
        )

    def test_a_call_is_held_until_the_gate_opens(self) -> None:
        gate = faults.Gate()
        self.addCleanup(gate.open)
        self.server.faults.next("RunInstances", faults.held(gate))
        caller = threading.Thread(target=self.run_instances)
        caller.start()
        self.assertTrue(gate.wait_until_reached())
        self.assertEqual(self.ids(), [])
        self.assertEqual(self.inspector.launched(), 0)
        gate.open()
        caller.join(30)
        self.assertEqual(len(self.ids()), 1)

    def test_a_slow_answer_is_an_answer_and_holds_no_other_call_up(self) -> None:
        self.server.faults.next("RunInstances", faults.slow(0.2))
        done = threading.Event()

        def launch() -> None:
            self.run_instances()
            done.set()

        threading.Thread(target=launch).start()
        self.ids()
        self.assertTrue(done.wait(30))
        self.assertEqual(self.inspector.launched(), 1)

    def test_a_failed_launch_shows_up_minutes_later(self) -> None:
        self.server.faults.next("RunInstances", faults.appears_late(300))
        self.refused("InternalError", self.run_instances, ClientToken="one")
        self.server.advance(299)
        self.assertEqual(self.ids(), [])
        self.server.advance(1)
        self.assertEqual(len(self.ids()), 1)

    def test_credentials_expire_and_permissions_lack(self) -> None:
        old = self.server.client(access_key="AKIAOLD")
        self.server.permissions.expired_keys.add("AKIAOLD")
        self.refused("RequestExpired", old.describe_instances)
        self.ids()
        self.server.permissions.denied.add("Run*")
        error = self.refused("UnauthorizedOperation", self.run_instances)
        self.assertEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], 403)
        self.ids()
        self.server.permissions.denied.clear()
        self.run_instances()


class Ending(ServerCase):
    def test_a_protected_instance_is_not_terminated(self) -> None:
        subnets = self.server.catalogue.subnets()
        kept = self.run_instances(DisableApiTermination=True, SubnetId=subnets["us-east-1a"])[0]
        beside = self.run_instances(SubnetId=subnets["us-east-1a"])[0]
        elsewhere = self.run_instances(SubnetId=subnets["us-east-1b"])[0]
        self.refused(
            "OperationNotPermitted",
            self.ec2.terminate_instances,
            InstanceIds=[kept, beside, elsewhere],
        )
        self.assertEqual({one.id for one in self.inspector.living}, {kept, beside})
        self.ec2.modify_instance_attribute(InstanceId=kept, DisableApiTermination={"Value": False})
        self.ec2.terminate_instances(InstanceIds=[kept])
        self.assertEqual(self.state(kept), "terminated")

    def test_volumes_go_with_their_instance_unless_they_are_to_stay(self) -> None:
        launched = self.run_instances(
            BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5}}]
        )
        self.assertEqual(len(self.inspector.volumes()), 2)
        self.assertEqual(self.inspector.orphan_volumes(), [])
        self.ec2.terminate_instances(InstanceIds=launched)
        self.server.settle()
        self.assertEqual(len(self.inspector.orphan_volumes()), 1)
        launched = self.run_instances(
            BlockDeviceMappings=[
                {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5, "DeleteOnTermination": True}}
            ]
        )
        self.ec2.terminate_instances(InstanceIds=launched)
        self.server.settle()
        self.assertEqual(len(self.inspector.orphan_volumes()), 1)
        self.ec2.delete_volume(VolumeId=self.inspector.orphan_volumes()[0])
        self.assertEqual(self.inspector.orphan_volumes(), [])

    def test_a_shutdown_from_inside_stops_or_ends_as_was_asked(self) -> None:
        stops = self.run_instances()[0]
        ends = self.run_instances(InstanceInitiatedShutdownBehavior="terminate")[0]
        self.server.settle()
        for instance_id in (stops, ends):
            self.server.shut_down_from_inside(instance_id)
        self.assertEqual(self.state(stops), "stopped")
        self.assertEqual(self.state(ends), "terminated")
        reason = self.describe(InstanceIds=[ends])[0]["StateReason"]["Code"]
        self.assertEqual(reason, "Client.InstanceInitiatedShutdown")

    def test_the_console_says_what_the_test_says(self) -> None:
        instance_id = self.run_instances()[0]
        self.assertNotIn("Output", self.ec2.get_console_output(InstanceId=instance_id))
        self.server.instance(instance_id).console_output = "kernel panic\n"
        answer = self.ec2.get_console_output(InstanceId=instance_id)
        self.assertEqual(answer["Output"], "kernel panic\n")


class TagsAndTwins(ServerCase):
    def test_tags_are_added_and_unknown_instances_refused(self) -> None:
        instance_id = self.run_instances(TagSpecifications=tagged(pool="a"))[0]
        tags = [{"Key": "lease", "Value": "7"}]
        self.ec2.create_tags(Resources=[instance_id], Tags=tags)
        self.assertEqual(self.server.instance(instance_id).tags, {"pool": "a", "lease": "7"})
        self.refused(
            "InvalidInstanceID.NotFound",
            self.ec2.create_tags,
            Resources=["i-0123456789abcdef0"],
            Tags=tags,
        )

    def test_a_twin_has_the_same_tags_and_token_and_is_counted(self) -> None:
        first = self.run_instances(ClientToken="one", TagSpecifications=tagged(row="7"))[0]
        self.assertEqual(self.inspector.doubled_tokens(), {})
        second = self.server.make_twin(first)
        self.assertEqual(sorted(self.filtered(client_token="one")), sorted([first, second]))
        by_tag = [{"Name": "tag:row", "Values": ["7"]}]
        self.assertEqual(sorted(self.ids(Filters=by_tag)), sorted([first, second]))
        self.assertEqual(self.inspector.doubled_tokens(), {"one": [first, second]})
        self.assertEqual(self.inspector.doubled_tags("row"), {"7": [first, second]})


class HooksAndInspection(ServerCase):
    def test_hooks_run_before_the_state_shows_and_may_give_addresses(self) -> None:
        seen: list[tuple[str, str]] = []

        def running(instance: Instance) -> None:
            seen.append(("running", instance.state))
            instance.private_ip = "10.77.0.11"

        self.server.hooks.on_launch = lambda one: seen.append(("launch", one.state))
        self.server.hooks.on_running = running
        self.server.hooks.on_terminated = lambda one: seen.append(("ended", one.state))
        instance_id = self.run_instances()[0]
        self.assertEqual(self.describe()[0]["PrivateIpAddress"], "10.77.0.11")
        self.ec2.terminate_instances(InstanceIds=[instance_id])
        self.server.settle()
        self.assertEqual(
            seen, [("launch", "pending"), ("running", "pending"), ("ended", "shutting-down")]
        )

    def test_a_hook_may_call_the_server(self) -> None:
        shown: list[str] = []
        self.server.hooks.on_running = lambda one: shown.append(self.state(one.id))
        instance_id = self.run_instances()[0]
        self.assertEqual(self.state(instance_id), "running")
        self.assertEqual(shown, ["pending"])
        self.assertEqual(self.inspector.hook_errors(), [])

    def test_what_a_hook_raises_is_kept_and_stops_nothing(self) -> None:
        def fail(instance: Instance) -> None:
            raise RuntimeError(instance.id)

        self.server.hooks.on_running = fail
        instance_id = self.run_instances()[0]
        self.assertEqual(self.state(instance_id), "running")
        self.assertEqual([str(one) for one in self.inspector.hook_errors()], [instance_id])

    def test_calls_are_counted_by_action_and_time(self) -> None:
        self.run_instances()
        self.ids()
        self.server.advance(3600)
        later = self.server.clock.seconds()
        self.ids()
        self.refused("InvalidParameterValue", self.filtered, flavour="x")
        self.assertEqual(
            self.inspector.calls_by_action(), {"RunInstances": 1, "DescribeInstances": 3}
        )
        self.assertEqual(self.inspector.count_calls(since=later), 2)
        self.assertEqual(self.inspector.errors_by_code(), {"InvalidParameterValue": 1})
        self.inspector.forget_calls()
        self.assertEqual(self.inspector.count_calls(), 0)

    def test_two_servers_know_nothing_of_each_other(self) -> None:
        self.run_instances()
        with EC2Server() as other:
            answer = other.client().describe_instances()
            self.assertEqual(answer["Reservations"], [])
            self.assertNotEqual(other.account, self.server.account)

    def test_calls_to_another_region_are_refused(self) -> None:
        self.server.region = "eu-west-1"  # where its clients go; the cloud stays where it is
        error = self.refused("InvalidParameterValue", self.server.client().describe_instances)
        self.assertIn("us-east-1", str(error))

    def test_what_the_server_can_not_do_is_said_and_kept(self) -> None:
        error = self.assertRaises(
            ClientError,
            self.ec2.get_spot_placement_scores,
            TargetCapacity=1,
            InstanceTypes=["c5.large"],
        )
        self.assertIn("get_spot_placement_scores", str(error))
        self.assertEqual(len(self.inspector.crashes), 1)


class RealTime(SynchronousTestCase):
    def test_time_passes_by_itself(self) -> None:
        running = threading.Event()
        with real_time_server(timings=Timings(pending=0.01)) as server:
            server.hooks.on_running = lambda _: running.set()
            server.client().run_instances(
                ImageId=server.catalogue.newest_image,
                InstanceType="c5.large",
                MinCount=1,
                MaxCount=1,
            )
            self.assertTrue(running.wait(30))

    def test_a_scripted_clock_never_goes_back(self) -> None:
        clock = ScriptedClock()
        start = clock.seconds()
        clock.move_to(start + 5)
        clock.move_to(start)
        self.assertEqual(clock.seconds(), start + 5)

    def test_another_process_finds_the_server_by_its_environment(self) -> None:
        with EC2Server() as server:
            environment = server.environment()
            self.assertEqual(environment["AWS_ENDPOINT_URL"], server.url)
            self.assertTrue(server.url.startswith("http://127.0.0.1:"))
