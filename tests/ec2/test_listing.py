"""Listings: filters, pages, ids, and what does not show yet."""

from __future__ import annotations

from .cases import ServerCase, tagged


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
