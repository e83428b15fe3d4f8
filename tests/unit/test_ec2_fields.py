"""``EC2Pool`` as written in master.cfg, each field wrong in turn, on a closed network."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import (
    SSH,
    SSM,
    EC2Pool,
    Image,
    LaunchTemplate,
    Spot,
    SSMParameter,
    Volume,
)
from buildbot_drydock.latent.ec2.fields import (
    ImageFields,
    LaunchTemplateFields,
    SpotFields,
    SSMFields,
    SSMParameterFields,
    VolumeFields,
)
from buildbot_drydock.latent.ec2.pool_fields import EC2PoolFields
from buildbot_drydock.latent.ssh_pool import SSHPoolFields

AMI = "ami-0123456789abcdef0"
SUBNET = "subnet-0123456789abcdef0"
GOOD: dict[str, Any] = {
    "region": "eu-central-1",
    "image": AMI,
    "instance_types": ["m7i.large"],
    "subnets": [SUBNET],
    "ssh": SSH(user="admin"),
}

# Each field that only this kind has, or has otherwise, and values that are wrong for it.
WRONG: dict[str, tuple[Any, ...]] = {
    "region": ("frankfurt", "eu-central-1a", None, 3),
    "image": ("debian", 7, Image(owner="me", name="x"), Image(name="x"), SSMParameter("x y"), None),
    "instance_types": ([], ["large"], "m7i.large", [7], [f"m{n}.large" for n in range(301)]),
    "subnets": (["vpc-01234567"], SUBNET, [None]),
    "zones": (["1a"], ["eu-central-1a"]),  # the last as there are subnets, too
    "park": ("sleep", True),
    "park_for": (0, "1 week", 600),  # the last as nothing is parked
    "max_parked": (0, 1.5, 3),  # likewise
    "launch_template": ("builders", LaunchTemplate("x"), LaunchTemplate("builders", version=3)),
    "spot": (
        *(True, Spot(max_price=0), Spot(on_demand_base=-1), Spot(bid=1), Spot(3)),
        *(Spot(strategy="cheapest"), Spot(interruption_queue="drydock"), Spot(rebalance="drain")),
    ),
    "volumes": (
        [Volume("sdf", size=1)],
        [Volume("/dev/sdf")],
        [Volume("root", type="gp2", iops=3000)],
        [Volume("root", type="io2", size=9)],
        [Volume("root", type="st1", throughput=500)],
        [Volume("root", encrypted=False, kms_key="mine")],
        [Volume("root", snapshot="snap")],
        [Volume("root"), Volume("root")],
        Volume("root"),
        [50],
    ),
    "encrypted": ("yes", None),
    "instance_profile": ("", 3),
    "security_groups": (["default"], "sg-01234567"),
    "key_name": ("", 3),
    "user_data": ("install it", "#!/bin/sh\n@NAME@", "#!/bin/sh\n" + "#" * 20_000, None),
    "tags": ({"aws:x": "y"}, {"Drydock:x": "y"}, {"x": "y" * 300}, {"x": 3}, {"": "y"}, "x"),
    "imdsv2": (True, "v2"),
    "metadata_hops": (0, 65, "1"),
    "associate_public_ip": ("yes", 1),
    "reach": ("nowhere", None),
    "ssm": (SSM(user="admin"), SSM(), SSM(user="Admin"), "admin"),  # the first as reach is another
    "ssh": (SSH(), SSH(user="admin", port=0), SSH(user="admin", jump="gate"), "admin", None),
    "dead_man_hours": (0, -1, "12"),
    "prices": ({"m7i.large": "0.1"}, {"m7i.large": -0.1}, {"m5.large": 0.1}, 0.1),
    "minimum_billing": (-1, "a minute"),
    "max_daily_cost": (0, -1),
    "max_hourly_cost": (0, -1, 0.5),  # the last as there are no prices
    "profile": ("", 3),
    "role_arn": ("builds", "arn:aws:iam::1:role/x"),
    "external_id": ("drydock", "x"),  # the first as there is no role
    "endpoint_url": ("localhost:5000", 3),
    "listing_delay": (-1, 900.0, None),
    "choices": ({"image": ["a", "b"]},),
}
OF_VALUES = (
    (
        Image,
        ImageFields,
        {"owner": "self", "name": "x"},
        {"owner": "x", "name": "", "architecture": "mips"},
    ),
    (SSMParameter, SSMParameterFields, {"name": "/x"}, {"name": "x y"}),
    (LaunchTemplate, LaunchTemplateFields, {"template": "xyz"}, {"template": "", "version": "x"}),
    (
        Volume,
        VolumeFields,
        {"device": "root"},
        {
            **{"device": "x", "size": 0, "type": "gp9", "iops": 1, "throughput": 1},
            **{"encrypted": 1, "kms_key": "", "snapshot": "x"},
        },
    ),
    (SSM, SSMFields, {"user": "admin"}, {"user": "the admin"}),
    (
        Spot,
        SpotFields,
        {},
        {
            **{"max_price": 0, "strategy": "cheapest", "on_demand_base": -1},
            **{"on_demand_fallback": 1, "interruption_queue": "q", "rebalance": "replace"},
        },
    ),
)
PLACES = {
    SSM: "ssm",
    Image: "image",
    SSMParameter: "image",
    LaunchTemplate: "launch_template",
    Spot: "spot",
}


@contextmanager
def closed_network() -> Iterator[None]:
    def refuse(*arguments: Any, **others: Any) -> NoReturn:
        raise AssertionError(f"a network was used: {arguments}")

    with ExitStack() as stack:
        for what in ("connect", "bind", "sendto"):
            stack.enter_context(mock.patch.object(socket.socket, what, refuse))
        stack.enter_context(mock.patch.object(socket, "getaddrinfo", refuse))
        yield


def sentences(**fields: Any) -> list[str]:
    with closed_network():
        return [each.sentence() for each in EC2Pool("aws", **{**GOOD, **fields}).problems]


class TestFields(SynchronousTestCase):
    def test_money_is_limited_only_where_prices_are_known_and_allow_one_instance(self) -> None:
        for fields, words in (
            ({"spot": Spot(max_price=0.1)}, "nothing says what m7i.large"),
            ({"prices": {"m7i.large": 3.0}}, "raise max_hourly_cost to 3 or more"),
        ):
            (told,) = sentences(max_hourly_cost=2.0, **fields)
            self.assertIn(words, told)
            (told,) = sentences(max_daily_cost=2.0, **fields)
            self.assertIn(words.replace("hourly", "daily"), told)

    def test_what_is_good_is_good(self) -> None:
        for fields in (
            {},
            {"image": Image(owner="self", name="debian-*")},
            {"image": SSMParameter("/aws/service/debian/release/12/latest/amd64")},
            {"image": None, "launch_template": LaunchTemplate("lt-0123456789abcdef0")},
            {"subnets": [], "zones": ["eu-central-1a"]},
            {"subnets": []},
            {"spot": Spot(max_price=1, on_demand_base=2, on_demand_fallback=False), "volumes": []},
            {
                "volumes": [
                    Volume("root", size=9, type="io2", iops=3000),
                    Volume("/dev/sdf", size=1),
                ]
            },
            {"user_data": "#cloud-config\npackages: [git]\n"},
            {"role_arn": "arn:aws:iam::123456789012:role/x", "external_id": "xy"},
            {"ssh": SSH(user="admin", jump="gate", known_hosts="/dev/null")},
            {
                "spot": Spot(
                    strategy="capacity-optimized",
                    interruption_queue="https://sqs.eu-central-1.amazonaws.com/123456789012/x",
                    rebalance="drain",
                )
            },
            {"max_hourly_cost": 2, "prices": {"m7i.large": 0.1}, "spot": Spot()},
            {"max_hourly_cost": 2, "spot": Spot(max_price=0.1, on_demand_fallback=False)},
            {"park": "stop", "park_for": None, "max_parked": 2},
            {"park": "stop", "spot": Spot(on_demand_base=1, on_demand_fallback=False)},
            {"park": "hibernate", "volumes": [Volume("root", size=40)], "max_parked": 1},
            {"park": "hibernate", "image": None, "launch_template": LaunchTemplate("builders")},
            {"dead_man_hours": None, "tags": {"team": "x"}, "prices": {"m7i.large": 0.1}},
        ):
            self.assertEqual(sentences(**fields), [], fields)

    def test_what_is_said_of_parking_is_planned_with(self) -> None:
        self.assertFalse(EC2Pool("aws", **GOOD).blueprint(0.0).parks)
        pool = EC2Pool("aws", **GOOD, park="stop", park_for=60, max_parked=2)
        planned = pool.blueprint(0.0)
        self.assertEqual((planned.parks, planned.park_for, planned.max_parked), (True, 60.0, 2))

    def test_what_can_not_be_parked_as_wished_is_told_of(self) -> None:
        root = Volume("root", size=40)
        for fields, field, words in (
            ({"park": "stop", "idle_timeout": None}, "park", "give idle_timeout seconds"),
            ({"park": "stop", "spot": Spot(on_demand_fallback=False)}, "park", "spot instances"),
            ({"park": "hibernate"}, "volumes", "as large as the image and the memory"),
            ({"park": "hibernate", "volumes": [Volume("root")]}, "volumes", "as large as"),
            (
                {"park": "hibernate", "volumes": [Volume("root", size=40, encrypted=False)]},
                "volumes",
                "encrypted=True",
            ),
            (
                {"park": "hibernate", "volumes": [root], "park_for": 61 * 86400},
                "park_for",
                "give park_for at most 5184000",
            ),
            ({"park": "hibernate", "volumes": [root], "park_for": None}, "park_for", "60 days"),
            (
                {"park": "hibernate", "volumes": [root], "instance_types": ["m7i.metal-24xl"]},
                "park",
                "has no hypervisor",
            ),
        ):
            (told,) = sentences(**fields)
            self.assertIn(f"field '{field}'", told)
            self.assertIn(words, told)

    def test_over_ssm_there_is_nothing_of_ssh(self) -> None:
        good = {**GOOD, "reach": "ssm", "ssm": SSM(user="admin")}
        del good["ssh"]
        with closed_network():
            pool = EC2Pool("aws", **good)
        self.assertEqual([each.sentence() for each in pool.problems], [])
        fields = pool.pool_fields
        self.assertEqual((fields.user, fields.address_kind), ("admin", "private"))
        self.assertEqual(fields.sign_interval, 3600.0)
        self.assertEqual(EC2Pool("aws", **GOOD).pool_fields.sign_interval, 900.0)

    def test_each_field_that_is_wrong_is_named_with_its_remedy(self) -> None:
        for field, values in WRONG.items():
            for value in values:
                found = sentences(**{field: value})
                self.assertEqual(len(found), 1, f"{field}={value!r}: {found}")
                self.assertIn(f"blueprint 'aws', field '{field}': ", found[0])
                self.assertRegex(found[0], r"Remedy: \w.*\.$")

    def test_no_field_is_left_out_of_that(self) -> None:
        own = EC2PoolFields.model_fields.keys() - SSHPoolFields.model_fields.keys()
        self.assertEqual(own - WRONG.keys(), set())

    def test_each_field_of_what_stands_in_them_is_named_with_its_remedy(self) -> None:
        for value_class, fields_class, good, wrong in OF_VALUES:
            self.assertEqual(fields_class.model_fields.keys(), wrong.keys())
            for field, value in wrong.items():
                given: Any = value_class(**{**good, field: value})
                place = PLACES.get(value_class, "volumes")
                (found,) = sentences(**{place: [given] if place == "volumes" else given})
                self.assertIn(f"field '{field}': ", found)
                self.assertRegex(found, r"\([a-z].+\)\. Remedy: ")

    def test_zones_of_another_region_are_told(self) -> None:
        (found,) = sentences(subnets=[], zones=["us-east-1a"])
        self.assertIn("field 'zones': us-east-1a is not in eu-central-1. Remedy: give zones", found)

    def test_what_is_missing_is_told(self) -> None:
        with closed_network():
            found = [each.sentence() for each in EC2Pool("aws").problems]
        for field in ("region", "instance_types"):
            self.assertTrue(any(f"field '{field}': {field} is missing" in each for each in found))

    def test_the_user_data_is_not_shown(self) -> None:
        (found,) = sentences(user_data=b"#!/bin/sh\npassword=hunter2\n")
        self.assertNotIn("hunter2", found)

    def test_pools_that_say_the_same_are_equal(self) -> None:
        self.assertEqual(
            EC2Pool("aws", **GOOD), EC2Pool("aws", **{**GOOD, "ssh": SSH(user="admin")})
        )
        for fields in ({"spot": Spot()}, {"limit": 2}, {"image": Image(owner="self", name="x")}):
            self.assertNotEqual(EC2Pool("aws", **GOOD), EC2Pool("aws", **{**GOOD, **fields}))

    def test_the_planner_is_told_that_it_vacates_and_lists_late(self) -> None:
        blueprint = EC2Pool("aws", **GOOD).blueprint(1.0)
        self.assertTrue(blueprint.vacates)
        self.assertFalse(blueprint.prepares)
        self.assertEqual(blueprint.listing_delay, 60.0)


class TestWithoutTheLibraries(SynchronousTestCase):
    PROGRAM = """
        import sys
        for name in ("boto3", "botocore", "asyncssh"):
            sys.modules[name] = None
        import importlib.util
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda n, *a: None if n in ("boto3", "asyncssh") else find(n, *a)
        from buildbot_drydock import *
        pool = EC2Pool("aws", region="eu-central-1", image="ami-01234567",
                       instance_types=["m7i.large"], ssh=SSH(user="admin"))
        print(*[each.sentence() for each in pool.problems])
    """

    def test_the_package_can_be_imported_and_checkconfig_says_what_to_install(self) -> None:
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(self.PROGRAM)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("boto3 and asyncssh, which is not installed", ended.stdout)
        self.assertIn("Remedy: run pip install 'buildbot-drydock[aws]'", ended.stdout)
