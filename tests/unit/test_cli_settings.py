from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.cli.exits import WrongSettings
from buildbot_drydock.cli.settings import USUAL_MASTER, Settings, read_settings

FILE = """
master = "https://ci.example.org"
user = "ana"
password_file = "{password}"

[masters.staging]
master = "https://staging.example.org/ci"
user = "sam"
"""


class SettingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.password = self.directory / "password"
        self.password.write_text("s3cret\n")
        self.file = self.directory / "drydock.toml"
        self.file.write_text(FILE.format(password=self.password.absolute()))

    def read(self, **options: str) -> Settings:
        return read_settings({"config": str(self.file), **options}, {})

    def refused(self, content: str, *words: str) -> None:
        self.file.write_text(content)
        with self.assertRaises(WrongSettings) as caught:
            self.read()
        for word in (str(self.file), *words):
            self.assertIn(word, f"{caught.exception.message} {caught.exception.remedy}")

    def test_without_any_it_is_the_master_on_this_machine(self) -> None:
        read = read_settings({}, {"DRYDOCK_CONFIG": "/dev/null"})
        self.assertEqual((read.master, read.user, read.password), (USUAL_MASTER, "", None))

    def test_the_file_says_what_options_do_not(self) -> None:
        read = self.read()
        self.assertEqual(
            (read.master, read.user, read.password), ("https://ci.example.org/", "ana", "s3cret")
        )
        self.assertEqual(self.read(user="bo").user, "bo")

    def test_options_go_before_the_environment_and_that_before_the_file(self) -> None:
        environment = {"DRYDOCK_USER": "bo", "DRYDOCK_PASSWORD": "b"}
        read = read_settings({"config": str(self.file)}, environment)
        self.assertEqual((read.user, read.password), ("bo", "b"))
        read = read_settings({"config": str(self.file), "user": "cy"}, environment)
        self.assertEqual(read.user, "cy")

    def test_the_file_may_name_other_masters(self) -> None:
        read = self.read(master="staging")
        self.assertEqual(
            (read.master, read.user, read.password),
            ("https://staging.example.org/ci/", "sam", None),
        )

    def test_the_credentials_of_one_master_are_not_sent_to_another(self) -> None:
        read = self.read(master="https://evil.example.org/")
        self.assertEqual((read.user, read.password), ("", None))
        self.assertEqual(self.read(master="https://ci.example.org/").user, "ana")

    def test_mistakes_in_the_file_are_named_with_their_remedy(self) -> None:
        self.refused("master = ", "TOML")
        self.refused('pasword_file = "x"', "pasword_file", "did you mean password_file?")
        self.refused('password = "x"', "password does not belong there", "password_file")
        self.refused("user = 1", "user is no text")
        self.refused("masters = 1", "[masters.NAME]")
        self.refused("[masters.a]\nuser = 1", "masters.a.user")
        self.refused('master = "https://x/"\n[masters.a]\ncolour = "x"', "masters.a.colour")

    def test_mistakes_elsewhere_too(self) -> None:
        for options, word in (
            ({"master": "ci.example.org"}, "https://"),
            ({"master": "http://[::1"}, "no address"),
            ({"master": "https://ana:a@ci.example.org/"}, "password_file"),
            ({"password_file": "/nowhere"}, "/nowhere"),
            ({"password_file": "/dev/null"}, "is empty"),
            ({"ca_file": "/nowhere"}, "/nowhere"),
            ({"config": "/nowhere"}, "/nowhere"),
        ):
            with self.assertRaises(WrongSettings) as caught:
                self.read(**options)
            self.assertIn(word, f"{caught.exception.message} {caught.exception.remedy}")
