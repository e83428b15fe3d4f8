"""The requests that launch an instance, and its user data."""

from __future__ import annotations

import email
import email.policy
import os
import re
import signal
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import asyncssh
import boto3
import yaml
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.ec2 import userdata
from buildbot_drydock.latent.ec2.candidates import Candidate, Market
from buildbot_drydock.latent.ec2.fields import LaunchTemplateFields, VolumeFields
from buildbot_drydock.latent.ec2.keys import key_pair
from buildbot_drydock.latent.ec2.requests import (
    FoundImage,
    Pool,
    Settings,
    client_token,
    run_instances,
)

POOL = Pool(installation="ours", blueprint="cloud")
HERE = Candidate("m7i.large", "subnet-01234567", Market.ON_DEMAND)
IMAGE = FoundImage(id="ami-01234567", root_device="/dev/xvda", devices=("/dev/xvda", "/dev/sdb"))
WORDS = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=30)


def request(
    candidate: Candidate = HERE, image: FoundImage | None = IMAGE, **settings: Any
) -> dict[str, Any]:
    return run_instances(Settings(**settings), POOL, "drydock-1", candidate, image, "data")


class TestClientTokens(SynchronousTestCase):
    @given(WORDS, WORDS)
    def test_each_host_and_request_has_its_own_which_is_always_the_same(
        self, one: str, other: str
    ) -> None:
        def tokens(token: str) -> list[str]:
            found = [
                client_token(pool, token, number)
                for pool in (POOL, replace(POOL, installation="x"), replace(POOL, blueprint="x"))
                for number in range(4)
            ]
            self.assertEqual(len(set(found)), len(found))
            return found

        self.assertEqual(tokens(one), tokens(one))
        if one != other:
            self.assertTrue(set(tokens(one)).isdisjoint(tokens(other)))

    def test_it_is_as_short_as_ec2_wants_it(self) -> None:
        found = client_token(POOL, "x" * 500, 10**9)
        self.assertLessEqual(len(found), 64)
        self.assertRegex(found, r"^[a-z0-9-]+$")


class TestRequests(SynchronousTestCase):
    def accepted(self, made: dict[str, Any]) -> None:
        """See that boto3 knows all that is in a request."""
        client = boto3.session.Session().client(
            "ec2", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        with Stubber(client) as stubber:
            stubber.add_response("run_instances", {"Instances": []}, made)
            client.run_instances(**made)

    def test_all_that_can_be_asked_for_is_known_to_the_api(self) -> None:
        for settings in (
            {},
            {"launch_template": LaunchTemplateFields(template="lt-0123").specification},
            {"launch_template": LaunchTemplateFields(template="mine").specification},
            {"associate_public_ip": True, "security_groups": ("sg-1",)},
            {"instance_profile": "builds", "key_name": "me", "require_imdsv2": False},
            {"instance_profile": "arn:aws:iam::1:instance-profile/x", "metadata_hops": 2},
            {
                "volumes": (
                    VolumeFields(device="root", size=9, iops=3000, throughput=250, kms_key="k"),
                )
            },
            {"tags": {"a": "b"}},
        ):
            self.accepted(request(**settings))
            self.accepted(request(replace(HERE, place=""), None, **settings))
        zone = replace(HERE, place="eu-central-1a")
        self.accepted(request(zone, places_are_zones=True))

    def test_one_instance_is_asked_for_and_ends_when_it_is_shut_down(self) -> None:
        made = request()
        self.assertEqual((made["MinCount"], made["MaxCount"]), (1, 1))
        self.assertEqual(made["InstanceInitiatedShutdownBehavior"], "terminate")
        self.assertEqual(made["MetadataOptions"]["HttpTokens"], "required")

    def test_all_that_is_made_is_tagged_and_no_tag_of_ours_can_be_changed(self) -> None:
        made = request(tags={"Name": "mine", "drydock:token": "x"})
        kinds = [each["ResourceType"] for each in made["TagSpecifications"]]
        self.assertEqual(kinds, ["instance", "volume"])
        for each in made["TagSpecifications"]:
            tags = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
            self.assertEqual(tags, {"Name": "mine", **POOL.tags("drydock-1")})

    def test_the_volumes_of_the_image_are_encrypted_and_go_with_the_instance(self) -> None:
        volumes = {each["DeviceName"]: each["Ebs"] for each in request()["BlockDeviceMappings"]}
        self.assertEqual(volumes.keys(), {"/dev/xvda", "/dev/sdb"})
        for volume in volumes.values():
            self.assertEqual(volume, {"Encrypted": True, "DeleteOnTermination": True})
        self.assertNotIn("BlockDeviceMappings", request(encrypted=False))
        self.assertNotIn("BlockDeviceMappings", request(image=None))

    def test_the_root_is_called_as_the_image_calls_it(self) -> None:
        root = VolumeFields(device="root", size=50)
        made = request(volumes=(root,), encrypted=False)
        (mapping,) = made["BlockDeviceMappings"]
        self.assertEqual(mapping["DeviceName"], "/dev/xvda")
        self.assertEqual(
            mapping["Ebs"],
            {"VolumeSize": 50, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True},
        )
        plain = request(
            volumes=(VolumeFields(device="/dev/sdf", size=1, encrypted=False),), image=None
        )
        self.assertNotIn("Encrypted", plain["BlockDeviceMappings"][0]["Ebs"])

    def test_an_interface_says_where_if_it_says_anything(self) -> None:
        made = request(associate_public_ip=False, security_groups=("sg-1",))
        (interface,) = made["NetworkInterfaces"]
        self.assertEqual(interface["SubnetId"], HERE.place)
        self.assertEqual(interface["Groups"], ["sg-1"])
        self.assertTrue({"SubnetId", "SecurityGroupIds"}.isdisjoint(made))


class TestKeys(SynchronousTestCase):
    @given(st.binary(min_size=32, max_size=32))
    def test_a_key_is_one_for_ssh_and_always_the_same(self, seed: bytes) -> None:
        pair = key_pair(seed)
        self.assertEqual(pair, key_pair(seed))
        self.assertNotIn(pair.private.splitlines()[2], repr(pair))
        read = asyncssh.import_private_key(pair.private)
        self.assertEqual(read.export_public_key().decode().split()[:2], pair.public.split())

    def test_a_seed_has_32_bytes(self) -> None:
        self.assertRaises(ValueError, key_pair, b"short")


class TestUserData(SynchronousTestCase):
    host, login = key_pair(b"h" * 32), key_pair(b"l" * 32)

    def parts(self, *first: str) -> list[Any]:
        text = userdata.user_data(
            [
                *first,
                userdata.cloud_config(self.host, (self.login.public,)),
                userdata.watchdog("admin", 12.0),
            ]
        )
        message = email.message_from_bytes(text.encode(), policy=email.policy.default)
        return list(message.iter_parts())

    def test_its_parts_are_what_cloud_init_knows(self) -> None:
        for text, kind in (
            ("#!/bin/sh\ntrue\n", "text/x-shellscript"),
            ("#cloud-config\npackages: [git]\n", "text/cloud-config"),
        ):
            found = [part.get_content_type() for part in self.parts(text)]
            self.assertEqual(found, [kind, "text/cloud-config", "text/cloud-boothook"])

    def test_the_user_s_part_comes_first_and_unchanged(self) -> None:
        text = "#!/bin/sh\necho 'größer' $HOME %d\n"
        self.assertEqual(self.parts(text)[0].get_content(), text)

    def test_the_keys_are_those_of_the_host_and_of_the_master(self) -> None:
        config = yaml.safe_load(self.parts()[0].get_content())
        private = asyncssh.import_private_key(config["ssh_keys"]["ed25519_private"])
        self.assertEqual(
            private.export_public_key().decode().split()[1], self.host.public.split()[1]
        )
        self.assertEqual(config["ssh_keys"]["ed25519_public"], self.host.public)
        self.assertEqual(config["ssh_authorized_keys"], [self.login.public])
        self.assertTrue(config["ssh_deletekeys"])

    def test_variables_are_replaced_and_others_told(self) -> None:
        values = {"TOKEN": "drydock-1", "REGION": "x"}
        template = "a@TOKEN@b @REGION@ me@example.org @ @lower@"
        self.assertEqual(
            userdata.filled(template, values), "adrydock-1b x me@example.org @ @lower@"
        )
        self.assertEqual(userdata.unknown_variables("@TOKEN@ @NAME@"), ["NAME"])


class TestTheDeadManSwitch(SynchronousTestCase):
    """The script, run by a shell that counts its looks: a `sleep` that does what a test says."""

    def run_watchdog(self, on_look: str, *, limit: int) -> int:
        """Return at which look it powered off, of at most *limit*; 0 if it did not."""
        place = Path(self.mktemp()).absolute()
        place.mkdir(parents=True)
        sign, looks, off = place / "sign", place / "looks", place / "off"
        (place / "sleep").write_text(
            f"#!/bin/sh\nsign={sign}\necho >> {looks}\nn=$(wc -l < {looks})\n"
            f"[ $n -lt {limit} ] || kill -9 $PPID\n{on_look}\n"
        )
        (place / "sleep").chmod(stat.S_IRWXU)
        with mock.patch.object(userdata, "SIGN_OF_LIFE", str(sign)):
            script = userdata.watchdog("root", 0.05, tick=60, power_off=f"cp {looks} {off}")
        script = script.replace("(watch) < /dev/null > /dev/null 2>&1 &", "watch")
        subprocess.run(
            ["sh", "-c", script],
            env={"PATH": f"{place}:{os.environ['PATH']}"},
            timeout=60,
            check=False,
            capture_output=True,
        )
        return len(off.read_text().splitlines()) if off.exists() else 0

    def test_the_script_is_well_formed(self) -> None:
        script = userdata.watchdog("admin", 12.0)
        subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=60)
        self.assertTrue(script.startswith("#cloud-boothook\n#!/bin/sh\n"))
        self.assertTrue(re.search(r'"\$ticks" -lt 720 ', script))

    def test_the_boot_goes_on_while_it_watches(self) -> None:
        """cloud-init reads what a hook writes until nobody can write any more."""
        with mock.patch.object(userdata, "SIGN_OF_LIFE", os.path.abspath(self.mktemp())):
            script = userdata.watchdog("nobody", 12.0, power_off=":")
        with subprocess.Popen(
            ["/bin/sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as hook:
            try:
                self.assertEqual(hook.communicate(timeout=30), (b"", None))
            finally:
                os.killpg(hook.pid, signal.SIGKILL)  # what watches is in its group

    def test_without_a_sign_of_life_it_powers_off_in_time(self) -> None:
        # The first look makes the file, which counts as a sign.
        self.assertIn(self.run_watchdog(":", limit=20), (3, 4))

    def test_a_sign_of_life_puts_that_off(self) -> None:
        touch = 'touch -d "2030-01-01 00:00:$n" "$sign"'
        self.assertEqual(self.run_watchdog(touch, limit=20), 0)
        until_the_fifth = f'[ "$n" -gt 5 ] || {touch}'
        self.assertEqual(self.run_watchdog(until_the_fifth, limit=30), 8)
