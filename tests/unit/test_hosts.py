"""``HostPool``, ``Host`` and ``SSH`` as written in master.cfg, and the ways that they lead to."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.hosts import SSH, Host, HostPool
from buildbot_drydock.latent.hosts_access import access_to
from buildbot_drydock.latent.hosts_fields import HostFields, SSHFields, local_path
from buildbot_drydock.model import ListedHost
from buildbot_drydock.remote.ssh.access import Access

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Cpmx9VW0lTLMvMZC1RfzVrLMEVrKW7o1pHtFdFGiG"
KNOWN = {"user": "ci", "known_hosts": "/dev/null"}


def pool(*hosts: Host, **fields: object) -> HostPool:
    return HostPool("lab", **{"hosts": list(hosts), "ssh": SSH(**KNOWN), **fields})


class TestWays(SynchronousTestCase):
    def ways(self, *hosts: Host, **ssh: object) -> dict[str, Access]:
        fields = pool(*hosts, ssh=SSH(**{**KNOWN, **ssh})).pool_fields
        by_name = {host.name: host for host in fields.hosts}
        return {name: access_to(host, by_name, fields.ssh) for name, host in by_name.items()}

    def route(self, access: Access) -> list[str]:
        return [each.shown for each in access.jump]

    def test_what_a_host_does_not_say_its_pool_does(self) -> None:
        ways = self.ways(
            Host("a", address="10.0.0.5"),
            Host("b", address="10.0.0.6", user="me", port=2222),
            port=2200,
            keepalive_interval=1.5,
            agent=False,
        )
        self.assertEqual(ways["a"].shown, "ci@10.0.0.5:2200")
        self.assertEqual(ways["b"].shown, "me@10.0.0.6:2222")
        self.assertEqual(ways["a"].keepalive_interval, 1.5)
        self.assertFalse(ways["a"].use_agent)

    def test_a_pinned_key_goes_before_an_authority_before_a_file(self) -> None:
        ways = self.ways(Host("a", address="x"), Host("b", address="y", host_key=f"{KEY} root@y"))
        self.assertEqual((ways["a"].known_hosts, ways["a"].host_key), ("/dev/null", None))
        self.assertEqual((ways["b"].known_hosts, ways["b"].host_key), (None, KEY))
        certified = self.ways(
            Host("a", address="x"),
            Host("b", address="y", host_key=KEY),
            known_hosts=None,
            host_authority=KEY,
        )
        self.assertEqual((certified["a"].host_authority, certified["a"].host_key), (KEY, None))
        self.assertEqual((certified["b"].host_authority, certified["b"].host_key), (None, KEY))

    def test_through_listed_hosts_and_others(self) -> None:
        ways = self.ways(
            Host("gate", address="gate", host_key=KEY),
            Host("second", address="second", jump="gate"),
            Host("inner", address="inner", jump="second"),
            Host("far", address="far", jump="ops@edge:2222, gate"),
            Host("direct", address="direct"),
        )
        self.assertEqual(self.route(ways["inner"]), ["ci@gate", "ci@second"])
        self.assertEqual(ways["inner"].jump[0].host_key, KEY)
        self.assertEqual(self.route(ways["far"]), ["ops@edge:2222", "ci@gate"])
        self.assertEqual(self.route(ways["direct"]), [])
        self.assertTrue(all(not each.jump for each in ways["inner"].jump))

    def test_the_way_of_the_pool_holds_for_all_but_those_on_it(self) -> None:
        ways = self.ways(
            Host("gate", address="gate"),
            Host("inner", address="inner"),
            Host("direct", address="direct", jump=""),
            jump="gate",
        )
        self.assertEqual(self.route(ways["gate"]), [])
        self.assertEqual(self.route(ways["inner"]), ["ci@gate"])
        self.assertEqual(self.route(ways["direct"]), [])

    def test_one_after_another_host_is_reached_from_that(self) -> None:
        ways = self.ways(
            Host("gate", address="gate"),
            Host("second", address="second", jump="gate"),
            Host("inner", address="inner", jump="edge,second"),
        )
        self.assertEqual(self.route(ways["inner"]), ["ci@edge", "ci@second"])

    def test_an_address_of_ipv6_is_one(self) -> None:
        ways = self.ways(Host("a", address="2001:db8::5", jump="ci@[2001:db8::1]:2222"))
        self.assertEqual(ways["a"].jump[0].address, "2001:db8::1")


class TestPools(SynchronousTestCase):
    def sentences(self, definition: HostPool) -> list[str]:
        return [each.sentence() for each in definition.problems]

    def test_all_hosts_are_kept_ready_and_limit_nothing_else(self) -> None:
        definition = pool(
            Host("a", address="x"), Host("b", address="y", slots=3), labels={"os": "debian"}
        )
        self.assertEqual(definition.problems, ())
        blueprint = definition.blueprint(1.0)
        self.assertEqual(blueprint.min_ready, 2)
        self.assertGreaterEqual(blueprint.limit, 2)
        self.assertIsNone(blueprint.idle_timeout)
        self.assertTrue(blueprint.vacates)
        assert blueprint.hosts is not None
        self.assertEqual([host.slots for host in blueprint.hosts], [1, 3])
        self.assertEqual(blueprint.hosts[0].labels, {"os": "debian", "host": "a"})

    def test_what_is_kept_ready_follows_the_list(self) -> None:
        definition = pool(Host("a", address="x"), Host("b", address="y"))
        blueprint = definition.blueprint(1.0)
        self.assertEqual(definition.with_hosts(blueprint, []).min_ready, 0)
        many = [ListedHost(name=str(number)) for number in range(5)]
        few = pool(Host("a", address="x"), min_ready=3, limit=4).blueprint(1.0)
        self.assertEqual(few.min_ready, 1)
        self.assertEqual(definition.with_hosts(few, many).hosts, tuple(many))

    def test_limit_and_min_ready_are_held_against_each_other(self) -> None:
        (found,) = self.sentences(pool(Host("a", address="x"), min_ready=3, limit=2))
        self.assertIn("field 'min_ready': 3 resources can't be kept warm with a limit of 2", found)
        self.assertEqual(self.sentences(pool(Host("a", address="x"), limit=2)), [])

    def test_pools_that_say_the_same_are_equal(self) -> None:
        host = Host("a", address="x")
        self.assertEqual(pool(host), pool(Host("a", address="x")))
        self.assertNotEqual(pool(host), pool(Host("a", address="x", slots=2)))
        self.assertNotEqual(pool(host), pool(host, ssh=SSH(**KNOWN, port=23)))
        self.assertEqual(pool(Host("a")), pool(Host("a")))
        self.assertNotEqual(pool(Host("a")), pool(host))

    def test_one_address_behind_two_jump_hosts_is_two_machines(self) -> None:
        one = Host("a", address="192.168.0.2", jump="gate1")
        other = Host("b", address="192.168.0.2", jump="gate2")
        self.assertEqual(self.sentences(pool(one, other)), [])
        (found,) = self.sentences(pool(one, Host("b", address="192.168.0.2", jump="gate1")))
        self.assertIn("would be used twice", found)

    def test_many_hosts_with_one_fault_are_one_sentence(self) -> None:
        hosts = [Host(f"h{number}", address=f"10.0.0.{number}") for number in range(1, 9)]
        (found,) = self.sentences(pool(*hosts, ssh=SSH(known_hosts="/dev/null")))
        self.assertIn("h1, h2, h3 and 5 more", found)

    def test_nobody_verifies_a_jump_host_without_a_source_of_keys(self) -> None:
        host = Host("a", address="x", host_key=KEY, jump="gate")
        (found,) = self.sentences(pool(host, ssh=SSH(user="ci")))
        self.assertIn("there is no way to verify the host key of gate", found)

    def test_an_authority_beside_a_file_is_one_too_many(self) -> None:
        definition = pool(Host("a", address="x"), ssh=SSH(**KNOWN, host_authority=KEY))
        (found,) = self.sentences(definition)
        self.assertIn("field 'ssh': field 'host_authority'", found)

    def test_public_keys_are_looked_into(self) -> None:
        for wrong in ("ssh-ed25519", "ssh-ed25519 ???", "ssh-rsa " + KEY.split()[1], "-----BEGIN"):
            (found,) = self.sentences(pool(Host("a", address="x", host_key=wrong)))
            self.assertIn("it is not a public key", found)

    def test_a_directory_that_shells_would_take_apart_is_refused(self) -> None:
        for wrong in ("a b", "~/x", "$HOME/x", "it's", "-x"):
            (found,) = self.sentences(pool(Host("a", address="x"), directory=wrong))
            self.assertIn("field 'directory'", found)

    def test_a_value_of_no_use_is_shown_and_not_raised(self) -> None:
        self.assertEqual(len(self.sentences(HostPool("lab", hosts=[None], ssh=None))), 2)
        self.assertEqual(repr(Host("a", port=1)), "Host(name='a', port=1)")
        self.assertNotEqual(Host("a"), SSH(name="a"))


class TestFiles(SynchronousTestCase):
    def test_a_private_key_that_others_may_read_is_refused_as_ssh_does(self) -> None:
        path = Path(self.mktemp())
        path.write_text("")
        for mode, wrong in ((0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)):
            path.chmod(mode)
            given = SSH(**KNOWN, keys=[str(path.absolute())])
            self.assertEqual(len(pool(Host("a", address="x"), ssh=given).problems), wrong, mode)

    def test_files_are_relative_to_where_the_master_works(self) -> None:
        path = Path(self.mktemp())
        path.write_text("")
        self.assertTrue(local_path(str(path)).samefile(path))
        self.assertEqual(local_path("~/x"), Path.home() / "x")

    def test_fields_have_what_the_reference_needs(self) -> None:
        for fields in (HostFields, SSHFields):
            for name, described in fields.model_json_schema()["properties"].items():
                self.assertTrue(described.get("description"), name)
