"""What goes wrong over SSH, in words: who, how far it got, and what to do."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys

import asyncssh
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.remote.shell.failures import failed
from buildbot_drydock.remote.ssh import failures
from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssh.exchange import _signal_number

ACCESS = Access(address="build1", user="bb", port=2222, known_hosts="/etc/known")


class TranslationTests(SynchronousTestCase):
    def test_each_failure_to_connect_names_machine_phase_and_remedy(self) -> None:
        def system(number: int) -> OSError:
            return OSError(number, os.strerror(number))

        table = [
            (system(errno.ECONNREFUSED), failures.CONNECTING, failures.CONNECTING, "which port"),
            (system(errno.EHOSTUNREACH), failures.CONNECTING, failures.CONNECTING, "switched on"),
            (system(errno.ENETUNREACH), failures.CONNECTING, failures.CONNECTING, "network"),
            (system(errno.ECONNRESET), failures.VERIFYING, failures.VERIFYING, "log"),
            (asyncio.TimeoutError(), failures.CONNECTING, failures.CONNECTING, "firewall"),
            (asyncio.TimeoutError(), failures.RESOLVING, failures.RESOLVING, "name servers"),
            (asyncio.TimeoutError(), failures.GREETING, failures.GREETING, "hangs"),
            (asyncio.TimeoutError(), failures.LOGGING_IN, failures.LOGGING_IN, "15 s"),
            (
                socket.gaierror(-2, "Name or service not known"),
                failures.RESOLVING,
                failures.RESOLVING,
                "'build1'",
            ),
            (
                asyncssh.KeyExchangeFailed("No matching host key"),
                failures.VERIFYING,
                failures.VERIFYING,
                "/etc/known",
            ),
            (
                asyncssh.ConnectionLost("Connection lost"),
                failures.VERIFYING,
                failures.VERIFYING,
                "MaxStartups",
            ),
            (
                asyncssh.ChannelOpenError(1, "refused"),
                failures.CONNECTING,
                failures.CONNECTING,
                "AllowTcpForwarding",
            ),
            (ValueError("no key"), failures.LOGGING_IN, failures.LOGGING_IN, "mend"),
        ]
        for error, phase, told, remedy in table:
            found = failures.not_connected(ACCESS, phase, error)
            self.assertIn(f"bb@build1:2222: {told}: ", str(found))
            self.assertIn(remedy, str(found))
            self.assertEqual(found.phase, told)

    def test_what_programs_say_is_told_with_a_remedy(self) -> None:
        table = [
            (b"cp: x: No space left on device", "free some space"),
            (b"sh: 1: Cannot fork", "process table"),
            (b"bash: fork: retry: Resource temporarily unavailable", "process table"),
            (b"mkdir: Permission denied", "let the user have it"),
            (b"touch: x: Read-only file system", "writable"),
            (b"python3: not found", "installed"),
        ]
        for said, remedy in table:
            told = str(failed(ACCESS.shown, "make a directory", said))
            self.assertIn("cannot make a directory on bb@build1:2222: " + said.decode(), told)
            self.assertIn(remedy, told)
        told = str(failed(ACCESS.shown, "make a directory", b""))
        self.assertEqual(told, "cannot make a directory on bb@build1:2222: nothing")

    def test_a_refused_login_names_user_and_keys(self) -> None:
        error = failures.login_refused(ACCESS, offered=("a (SHA256:x)", "b"), banner="go away\n")
        for word in ("bb was refused", "a (SHA256:x), b", "go away", "~bb/.ssh", "locked"):
            self.assertIn(word, str(error))
        self.assertEqual(error.phase, "logging in")

    def test_a_host_key_is_told_with_the_one_expected(self) -> None:
        changed = failures.host_key_refused(ACCESS, seen="new", expected=("old",), reason="")
        for word in ("host key new", "/etc/known says old", "installed anew"):
            self.assertIn(word, str(changed))
        unknown = failures.host_key_refused(ACCESS, seen="new", expected=(), reason="")
        for word in ("new is unknown", "/etc/known", "[build1]:2222", "ssh-keygen -lf"):
            self.assertIn(word, str(unknown))

    def test_an_account_without_a_shell_is_told_apart(self) -> None:
        said = b"This account is currently not available."
        self.assertIn("unlock", str(failures.shell_did_not_run(ACCESS, 1, said)))
        self.assertIn("forced command", str(failures.shell_did_not_run(ACCESS, 1, b"eh?")))

    def test_signals_that_ssh_has_no_name_for_are_signals_still(self) -> None:
        self.assertEqual(_signal_number("KILL"), 9)
        self.assertEqual(_signal_number("SIG@openssh.com"), 255)

    def test_the_phase_of_an_error_is_optional(self) -> None:
        self.assertEqual(HostUnreachable("gone").phase, "")


class AccessTests(SynchronousTestCase):
    def test_a_host_key_is_always_verified_in_one_way(self) -> None:
        for fields in ({}, {"known_hosts": "a", "host_key": "b"}, {"known_hosts": ""}):
            with self.assertRaisesRegex(ValueError, "known_hosts"):
                Access(address="a", user="b", **fields)

    def test_what_is_wrong_is_named(self) -> None:
        for field, wrong in (("port", 0), ("port", 70000), ("connect_timeout", 0.0)):
            with self.assertRaisesRegex(ValueError, field):
                Access(address="a", user="b", known_hosts="c", **{field: wrong})
        with self.assertRaisesRegex(ValueError, "address"):
            Access(address="", user="b", known_hosts="c")
        through = Access(address="a", user="b", known_hosts="c", jump=(ACCESS,))
        with self.assertRaisesRegex(ValueError, "jump"):
            Access(address="a", user="b", known_hosts="c", jump=(through,))

    def test_it_is_shown_as_people_write_it(self) -> None:
        self.assertEqual(ACCESS.shown, "bb@build1:2222")
        plain = Access(address="::1", user="bb", known_hosts="x")
        self.assertEqual(plain.shown, "bb@::1")
        ported = Access(address="::1", user="bb", known_hosts="x", port=23)
        self.assertEqual(ported.shown, "bb@[::1]:23")

    def test_without_the_library_it_is_clear_what_to_install(self) -> None:
        script = (
            "import sys; sys.modules['asyncssh'] = None\n"
            "import buildbot_drydock\n"
            "from buildbot_drydock.remote.ssh.access import Access\n"
            "try: import buildbot_drydock.remote.ssh.host\n"
            "except ImportError as error: print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, check=True, text=True
        )
        self.assertIn("pip install 'buildbot-drydock[ssh]'", done.stdout)
