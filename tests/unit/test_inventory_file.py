"""The file that lists hosts: its two formats, what is wrong with it, and whether it has changed."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.hosts_fields import HostFields
from buildbot_drydock.latent.inventory_file import FileProblem, WatchedFile, checked, read

UNTIL = 1_896_094_800.0  # 2030-01-31 14:00 at +01:00


class OnFile(SynchronousTestCase):
    def written(self, text: str | bytes, suffix: str = ".yaml") -> Path:
        path = Path(self.mktemp() + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def hosts(self, text: str, suffix: str = ".yaml") -> list[HostFields]:
        found, problems = checked(read(self.written(text, suffix)), "lab")
        self.assertEqual(problems, [])
        return found

    def problems(self, text: str, suffix: str = ".yaml") -> list[str]:
        _, found = checked(read(self.written(text, suffix)), "lab")
        return [each.sentence() for each in found]

    def refused(self, text: str | bytes, suffix: str = ".yaml") -> str:
        with self.assertRaises(FileProblem) as caught:
            read(self.written(text, suffix))
        self.assertTrue(caught.exception.remedy)
        return str(caught.exception)


class TestGoodFiles(OnFile):
    def test_a_mapping_by_name_and_a_list_say_the_same(self) -> None:
        expected = [
            HostFields(name="a", address="10.0.0.5", labels={"kvm": "true"}, slots=2),
            HostFields(name="b", address="b.example.org", port=2222),
        ]
        for suffix, text in (
            (
                ".yaml",
                "a: {address: 10.0.0.5, labels: {kvm: true}, slots: 2}\n"
                "b:\n  address: b.example.org\n  port: 2222\n",
            ),
            (
                ".yml",
                "hosts:\n- {name: a, address: 10.0.0.5, labels: {kvm: true}, slots: 2}\n"
                "- name: b\n  address: b.example.org\n  port: 2222\n",
            ),
            (
                ".json",
                '{"a": {"address": "10.0.0.5", "labels": {"kvm": true}, "slots": 2},'
                ' "b": {"address": "b.example.org", "port": 2222}}',
            ),
            (
                ".json",
                '[{"name": "a", "address": "10.0.0.5", "labels": {"kvm": true}, "slots": 2},'
                ' {"name": "b", "address": "b.example.org", "port": 2222}]',
            ),
        ):
            self.assertEqual(self.hosts(text, suffix), expected, text)

    def test_a_host_is_disabled_for_ever_with_a_reason_or_for_a_time(self) -> None:
        for text, reason, until in (
            ("true", "it is disabled in the list", None),
            ("disk swap", "disk swap", None),
            ("{reason: disk swap, until: 2030-01-31T14:00:00+01:00}", "disk swap", UNTIL),
            ("{reason: disk swap, until: '2030-01-31T14:00+01:00'}", "disk swap", UNTIL),
            ("{until: '2030-01-31T13:00Z'}", "it is disabled in the list", UNTIL),
        ):
            (host,) = self.hosts(f"a: {{address: x, disabled: {text}}}")
            assert host.disabled is not None, text
            self.assertEqual((host.disabled.reason, host.disabled.until), (reason, until))
        (host,) = self.hosts("a: {address: x, disabled: false}")
        self.assertIsNone(host.disabled)

    def test_its_time_is_shown_and_comes_to_an_end(self) -> None:
        (host,) = self.hosts("a: {address: x, disabled: {reason: y, until: '2030-01-31T13:00Z'}}")
        assert host.disabled is not None
        self.assertEqual(host.disabled.at(UNTIL - 1), "y, until 2030-01-31 13:00 UTC")
        self.assertEqual(host.disabled.at(UNTIL), "")

    def test_no_hosts_at_all_are_a_list_too(self) -> None:
        self.assertEqual(self.hosts("[]"), [])
        self.assertEqual(self.hosts("{}", ".json"), [])


class TestBrokenFiles(OnFile):
    def test_what_is_no_yaml_is_told_with_its_line(self) -> None:
        self.assertIn("line 2, column ", self.refused("a: {address: x}\nb: {address: [}\n"))
        self.assertIn("line 1, column 6", self.refused('{"a" "b"}', ".json"))

    def test_a_name_that_is_there_twice_is_told_with_its_line(self) -> None:
        text = self.refused("a: {address: x}\na: {address: y}\n")
        self.assertEqual(text, "line 2: 'a' is there twice")
        self.assertEqual(self.refused('{"a": {}, "a": {}}', ".json"), "'a' is there twice")

    def test_what_holds_no_hosts_is_told(self) -> None:
        for text in ("", "3", "just words", "null"):
            self.assertIn("and no hosts", self.refused(text))

    def test_what_cannot_be_read_is_told(self) -> None:
        self.assertIn("UTF-8", self.refused(b"\xff\xfe\x00"))
        self.assertIn("'.txt'", self.refused("[]", ".txt"))
        with self.assertRaises(FileProblem) as caught:
            read(Path(self.mktemp()) / "hosts.yaml")
        self.assertIn("no such file", str(caught.exception))

    def test_yaml_that_would_run_code_is_refused(self) -> None:
        self.assertIn("not YAML", self.refused("!!python/object/apply:os.getcwd []"))

    def test_wrong_fields_are_all_told_with_host_line_field_and_remedy(self) -> None:
        found = self.problems(
            "a:\n  address: 10.0.0.5\n  port: 99999\n"
            "b: {address: x, slots: 0, labels: {host: b}}\n"
            "c: 3\n"
            "d: {adress: x}\n"
        )
        for words in (
            ("host 'a' (line 2), field 'port'", "Remedy: give port a whole number from 1 to 65535"),
            ("host 'b' (line 4), field 'slots'", "Remedy: "),
            ("is 3, not a host", "Remedy: "),
            ("host 'd' (line 6), field 'address': address is missing", "Remedy: "),
            ("field 'adress': there is no such field", "Remedy: write 'address'"),
        ):
            matching = [each for each in found if all(word in each for word in words)]
            self.assertEqual(len(matching), 1, (words, found))
        self.assertEqual(len(found), 6)  # and the label host

    def test_the_label_host_cannot_be_given(self) -> None:
        (found,) = self.problems("b: {address: x, labels: {host: b}}")
        self.assertIn("the label 'host', which is the host's name anyway", found)

    def test_a_time_without_a_zone_is_refused(self) -> None:
        for until in ("2030-01-31T14:00", "'2030-01-31T14:00'", "2030-01-31", "soon", "5"):
            (found,) = self.problems(f"a: {{address: x, disabled: {{until: {until}}}}}")
            self.assertIn("until is ", found)
            self.assertIn("'until': '2030-01-31T14:00+01:00'", found)

    def test_two_names_for_one_host_are_refused(self) -> None:
        self.assertEqual(len(self.problems("a: {name: b, address: x}")), 1)


class TestWatching(OnFile):
    def test_a_file_has_changed_when_it_was_not_seen_so_before(self) -> None:
        path = self.written("[]")
        watched = WatchedFile(path)
        self.assertEqual([watched.changed() for _ in range(3)], [True, False, False])
        path.write_text("[ ]")
        self.assertEqual([watched.changed() for _ in range(2)], [True, False])
        os.utime(path, (1, 1))
        self.assertEqual([watched.changed() for _ in range(2)], [True, False])
        path.unlink()
        self.assertEqual([watched.changed() for _ in range(2)], [True, False])
        path.write_text("[ ]")
        self.assertEqual([watched.changed() for _ in range(2)], [True, False])
