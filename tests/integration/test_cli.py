"""The command ``drydock`` against a real master."""

from __future__ import annotations

import json
import signal
import socket
import threading

from tests.cli_masters import BOB, EVE, MasterTestCase

ENDED = ("released", "destroyed")


class LeaseTests(MasterTestCase):
    def test_a_lease_waits_with_its_reason_is_acquired_and_released_by_ctrl_c(self) -> None:
        first = self.begin("lease", "-b", "linux", "--count", "2", user=BOB)
        first.wait_for("held and renewed")
        second = self.begin("lease", "-b", "linux", user=BOB)
        second.wait_for("linux is full: 2 of 2 slots leased")
        number = self.newest_lease()
        self.assertEqual(self.lease(number)["status"], "pending")
        self.assertEqual(first.send(signal.SIGINT).code, 130)
        second.wait_for("held and renewed")
        self.assertIn(f"lease {number} is active on resource", second.out)
        self.assertIn("address", second.out)
        ended = second.send(signal.SIGINT)
        self.assertEqual(ended.code, 130)
        self.assertNotIn("Traceback", ended.errors)
        self.lease_becomes(number, *ENDED)
        self.assertIn("the command was ended: Interrupt", self.lease(number)["reason"])

    def test_a_signal_releases_what_still_waits(self) -> None:
        for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)):
            waiting = self.begin("lease", "-b", "slow")
            waiting.wait_for("slow is booting")
            lease = self.newest_lease()
            self.assertEqual(waiting.send(number).code, code)
            self.assertIn(self.lease(lease)["status"], ENDED)

    def test_a_killed_command_loses_its_lease_when_that_expires(self) -> None:
        killed = self.begin("lease", "-b", "linux", "--lifetime", "3s")
        killed.wait_for("held and renewed")
        lease = self.newest_lease()
        before = self.lease(lease)["expires_at"]
        self.until(lambda: self.lease(lease)["expires_at"] > before, "the lease to be renewed")
        self.assertEqual(killed.send(signal.SIGKILL).code, -signal.SIGKILL)
        self.lease_becomes(lease, "released", "broken", "destroyed")
        self.assertIn("stopped renewing", self.lease(lease)["reason"])

    def test_a_kept_lease_outlives_the_command(self) -> None:
        ended = self.succeeds("lease", "-b", "linux", "--keep", "--json", user=BOB)
        lease = ended.lines[-1]
        self.assertEqual((lease["status"], lease["blueprint"]), ("active", "linux"))
        self.assertIn(f"drydock release-lease {lease['leaseid']}", ended.errors)
        number = str(lease["leaseid"])
        (renewed,) = self.succeeds("renew", number, "--lifetime", "2h", "--json", user=BOB).json
        self.assertGreater(renewed["expires_at"], lease["expires_at"] + 3_000)
        self.succeeds("release-lease", number, "-m", "found it", user=BOB)
        self.lease_becomes(lease["leaseid"], *ENDED)
        self.assertIn("found it", self.lease(lease["leaseid"])["reason"])
        refused = self.call("renew", number, user=BOB)
        self.assertEqual(refused.code, 7)
        self.assertIn("has ended, and can't be renewed", refused.errors)

    def test_what_others_release_ends_the_command_with_their_reason(self) -> None:
        held = self.begin("lease", "-b", "linux", user=BOB)
        held.wait_for("held and renewed")
        self.succeeds("release-lease", str(self.newest_lease()), "-m", "a\nlong story")
        ended = held.ended()
        self.assertEqual(ended.code, 8)
        self.assertIn("ana@example.org released it: a\nlong story", ended.errors)

    def test_a_lease_ends_at_its_time(self) -> None:
        ended = self.call("lease", "-b", "linux", "--until", "4s")
        self.assertEqual(ended.code, 0, ended)
        self.assertIn("ends", ended.out)

    def test_what_does_not_come_in_time_is_given_up(self) -> None:
        ended = self.call("lease", "-r", "os=plan9", "--timeout", "1s")
        self.assertEqual(ended.code, 9)
        self.assertIn("slow is booting", ended.errors)
        self.assertIn(self.lease(self.newest_lease())["status"], ENDED)

    def test_what_never_fits_breaks_and_says_why(self) -> None:
        ended = self.call("lease", "-r", "os=cpm")
        self.assertEqual(ended.code, 8)
        self.assertIn("never fits: os=cpm is required", ended.errors)

    def test_attributes_come_from_a_file(self) -> None:
        file = self.directory / "attributes.json"
        file.write_text(json.dumps({"ticket": "12"}))
        ended = self.succeeds(
            "lease", "-b", "linux", "--keep", "--json", "--attributes", f"@{file}"
        )
        number = ended.lines[-1]["leaseid"]
        self.assertEqual(self.lease(number)["attributes"]["ticket"], "12")
        self.succeeds("release-lease", "--mine")
        self.lease_becomes(number, *ENDED)

    def test_a_restart_of_the_master_is_waited_for(self) -> None:
        held = self.begin("lease", "-b", "linux", "--lifetime", "2m")
        held.wait_for("held and renewed")
        waiting = self.begin("lease", "-b", "slow")
        waiting.wait_for("slow is booting")
        self.master.kill()
        for each in (held, waiting):
            each.wait_for("trying again until the leases expire")
        self.start_master()
        for each in (held, waiting):
            each.wait_for("the master answers again")
            self.assertEqual(each.send(signal.SIGINT).code, 130)
        leases = self.master.rows("drydock_leases?order=-leaseid&limit=2")
        self.assertLessEqual({row["status"] for row in leases}, set(ENDED), leases)


class RefusedTests(MasterTestCase):
    def test_a_wrong_password(self) -> None:
        ended = self.call("lease", "-b", "linux", user=EVE)
        self.assertEqual(ended.code, 4)
        self.assertIn("does not accept the password of eve@example.org", ended.errors)

    def test_nobody_is_refused_to_act_and_may_read(self) -> None:
        ended = self.call("pause", "linux", user="")
        self.assertEqual(ended.code, 4)
        self.assertIn("nobody is logged in", ended.errors)
        self.succeeds("status", user="")

    def test_who_may_not_is_told_so_by_the_master(self) -> None:
        ended = self.call("pause", "linux", user=BOB)
        self.assertEqual(ended.code, 5)
        self.assertIn("you need to have role 'admins'", ended.errors)

    def test_what_there_is_not(self) -> None:
        for arguments, what in (
            (("why", "4711"), "there is no lease 4711"),
            (("why", "build:4711"), "there is no build 4711"),
            (("why", "tests/4711"), "there is no build tests/4711"),
            (("why", "nobody"), "there is no builder 'nobody'"),
            (("release-lease", "4711"), "there is no lease 4711"),
            (("renew", "4711"), "there is no lease 4711"),
            (("release-resource", "4711"), "there is no resource 4711"),
            (("reclaim", "-b", "nothing"), "there is no blueprint 'nothing'"),
            (("pause", "nothing"), "there is no blueprint 'nothing'"),
            (("drain", "nothing"), "there is no blueprint 'nothing'"),
            (("disable", "--host", "nowhere"), "no blueprint lists a host 'nowhere'"),
            (("resume", "nothing"), "there is no blueprint 'nothing'"),
            (("log", "--lease", "4711"), "there is no lease 4711"),
            (("blueprints", "nothing"), "there is no blueprint 'nothing'"),
            (("hosts", "-b", "nothing"), "there is no blueprint 'nothing'"),
            (("edit", "nothing", "limit=3"), "there is no blueprint 'nothing'"),
            (("authorize", "list", "-b", "nothing"), "there is no blueprint 'nothing'"),
            (("authorize", "approve", "4711"), "there is no authorization 4711"),
            (("authorize", "decline", "4711"), "there is no authorization 4711"),
        ):
            ended = self.call(*arguments)
            self.assertEqual(ended.code, 6, (arguments, ended))
            self.assertIn(what, ended.errors)

    def test_a_request_that_the_master_refuses(self) -> None:
        ended = self.call("lease", "-b", "nothing")
        self.assertEqual(ended.code, 7)
        self.assertIn("there is no 'nothing'; there are: linux, slow, gpu, lab", ended.errors)

    def test_errors_are_json_for_programs(self) -> None:
        ended = self.call("why", "4711", "--json")
        self.assertEqual(ended.out, "")
        problem = json.loads(ended.errors)
        self.assertEqual((problem["error"], problem["exit"]), ("not-found", 6))

    def test_a_wrong_command_line(self) -> None:
        for arguments in (("lease", "--requires", "os"), ("frobnicate",), ("reclaim",)):
            self.assertEqual(self.call(*arguments).code, 2, arguments)

    def test_nobody_there_is_told_at_once(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        for arguments in (("status",), ("lease", "-b", "linux")):
            ended = self.begin(*arguments, master=url).ended()
            self.assertEqual(ended.code, 3, ended)
            self.assertIn("can't be reached", ended.errors)
        self.assertEqual(self.begin("doctor", master=url).ended().code, 1)

    def test_somebody_else_there_is_told(self) -> None:
        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = threading.Thread(target=serve, daemon=True)
            serving.start()
            port = listening.getsockname()[1]
            ended = self.begin("status", master=f"http://127.0.0.1:{port}/").ended()
            listening.shutdown(socket.SHUT_RDWR)
        self.assertEqual(ended.code, 10)
        self.assertIn("is the address of a Buildbot's web page", ended.errors)


class OperatingTests(MasterTestCase):
    def test_rows_are_those_of_the_api(self) -> None:
        self.succeeds("lease", "-b", "linux", "--keep", "--json")
        for command, path in (
            ("blueprints", "drydock_blueprints?limit=1000"),
            ("resources", "drydock_resources?status__ne=destroyed&order=-resourceid"),
            ("leases", "drydock_leases?status__ne=destroyed&order=-leaseid"),
            ("hosts", "drydock_hosts"),
        ):
            shown = self.succeeds(command, "--json").json
            rows = self.master.rows(path)
            for each in (*shown, *rows):
                each.pop("cost", None)  # which grows
            self.assertTrue(rows)
            self.assertEqual(shown, rows)
        events = self.succeeds("--json", "log", "-n", "3").lines
        self.assertEqual(events[::-1], self.master.rows("drydock_events?order=-eventid&limit=3"))
        self.succeeds("release-lease", "--mine")

    def test_all_that_is_shown_is_text(self) -> None:
        ended = self.succeeds("lease", "-b", "linux", "--keep", "--json")
        number = str(ended.lines[-1]["leaseid"])
        for arguments in (("status",), ("leases",), ("why", number), ("log", "--lease", number)):
            shown = self.succeeds(*arguments).out
            self.assertIn(number, shown)
            for odd in ("\x1b", "<br", "</"):
                self.assertNotIn(odd, shown)
        self.succeeds("release-lease", number)

    def test_pausing_with_a_reason_and_an_end(self) -> None:
        try:
            self.succeeds("pause", "linux", "-m", "a new\nkernel", "--until", "2h")
            shown = self.succeeds("status").out
            self.assertIn("it is paused by ana@example.org until", shown)
            self.assertIn(": a new\n    kernel\n    Remedy: drydock resume linux", shown)
            waiting = self.begin("lease", "-b", "linux", user=BOB)
            waiting.wait_for("linux is paused by ana@example.org")
            self.succeeds("resume", "linux")
            waiting.wait_for("held and renewed")
            self.assertEqual(waiting.send(signal.SIGINT).code, 130)
            for verb, state in (("drain", "draining"), ("disable", "disabled")):
                (row,) = self.succeeds(verb, "linux", "--json").json
                self.assertEqual(row["state"], state)
        finally:
            (row,) = self.succeeds("resume", "linux", "--json").json
        self.assertEqual(row["state"], "ready")

    def test_a_host_goes_out_of_service_and_back(self) -> None:
        (row,) = self.succeeds(
            "disable", "--host", "build1", "--at-once", "-m", "disk swap", "--json"
        ).json
        self.assertEqual((row["mode"], row["at_once"]), ("disabled", True))
        self.assertIn("disk swap", self.succeeds("hosts").out)
        (row,) = self.succeeds("resume", "--host", "build1", "--json").json
        self.assertEqual(row["mode"], "enabled")

    def test_resources_are_given_back(self) -> None:
        lease = self.succeeds("lease", "-b", "linux", "--keep", "--json").lines[-1]
        kept = self.succeeds("reclaim", "-b", "linux")
        self.assertIn(f"resource {lease['resourceid']} stays", kept.errors)
        number = str(lease["resourceid"])
        self.assertEqual(self.call("release-resource", number).code, 7)
        (row,) = self.succeeds("release-resource", number, "--break-leases", "--json").json
        self.assertIn(row["status"], ("released", "broken"))
        self.lease_becomes(lease["leaseid"], "broken", *ENDED)
        again = self.succeeds("lease", "-b", "linux", "--keep", "--json").lines[-1]
        self.succeeds("release-lease", str(again["leaseid"]))
        self.lease_becomes(again["leaseid"], "destroyed")
        self.assertIn(f"resource {again['resourceid']}", self.succeeds("reclaim", "--all").out)

    def test_why_a_builder_waits(self) -> None:
        self.assertIn("no build request waits", self.succeeds("why", "tests").out)
        self.master.force()
        self.until(lambda: "slow is booting" in self.call("why", "tests").out, "a reason")
        shown = self.succeeds("why", "tests")
        self.assertIn("Remedy: wait; if it never comes", shown.out)
        self.assertEqual(self.succeeds("why", "tests", "--json").json["builder"]["name"], "tests")

    def test_doctor_tells_what_is_wrong(self) -> None:
        ended = self.call("doctor", "--basedir", str(self.directory))
        self.assertEqual(ended.code, 1)
        for text in ("configuration: ", "database: ", "clocks: ", "log-in: ana@example.org is"):
            self.assertIn(text, ended.out)
        self.assertIn("host build1: it is out of service: ", ended.out)
        found = self.call("doctor", "--json", user=EVE).json
        (log_in,) = [each for each in found if each["subject"] == "log-in"]
        self.assertEqual(log_in["severity"], "problem")
        self.assertIn("user and password", log_in["remedy"])

    def test_the_log_is_followed(self) -> None:
        following = self.begin("log", "-f", "-n", "0", "--blueprint", "slow", "--json")
        watching = self.begin("status", "--watch", "--interval", "0.1", "--json")
        watching.wait_for('"waiting"')
        while "mode-changed" not in following.out:
            self.succeeds("pause", "slow")
        self.succeeds("resume", "slow")
        for each in (following, watching):
            ended = each.send(signal.SIGINT)
            self.assertEqual(ended.code, 130, ended.errors)
        events = following.ended().out.splitlines()
        self.assertTrue(all(json.loads(line)["blueprint"] == "slow" for line in events))
