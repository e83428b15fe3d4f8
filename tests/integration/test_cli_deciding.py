"""``drydock authorize`` and ``drydock edit`` against a real master."""

from __future__ import annotations

from typing import Any

from tests.cli_masters import ANA, BOB, EVE, MasterTestCase

PERSON_BOB = f"person/{BOB}"


class AuthorizeTests(MasterTestCase):
    def rows(self, query: str = "") -> list[dict[str, Any]]:
        return self.master.rows(f"drydock_authorizations{query}")

    def test_who_waits_for_approval_is_listed_and_served_once_it_is_given(self) -> None:
        waiting = self.begin("lease", "-b", "gpu", "--keep", user=BOB)
        waiting.wait_for("gpu needs approval for person/bob@example.org, by an administrator: req")
        why = self.succeeds("why", str(self.newest_lease()))
        remedy = f"Remedy: have it approved: drydock authorize approve -b gpu {PERSON_BOB}"
        self.assertIn(remedy, why.out)
        listed = self.succeeds("authorize", "list", "--status", "requested", "--json")
        self.assertEqual(listed.json, self.rows("?status=requested&order=-authorizationid"))
        (row,) = [each for each in listed.json if each["subject"] == PERSON_BOB]
        one = str(row["authorizationid"])
        shown = self.succeeds("authorize", "list", "-b", "gpu").out
        self.assertIn(PERSON_BOB, shown)
        self.assertIn("requested", shown)

        refused = self.call("authorize", "approve", one, user=BOB)
        self.assertEqual(refused.code, 5)
        self.assertIn("you need to have role 'admins'", refused.errors)

        approved = self.succeeds("authorize", "approve", one, "-m", "for a week")
        self.assertEqual(approved.out, f"{PERSON_BOB} is approved for gpu\n")
        self.assertEqual(waiting.ended().code, 0, waiting.errors)
        (row,) = self.rows(f"/{one}")
        self.assertEqual((row["author"], row["reason"]), (ANA, "for a week"))
        self.succeeds("release-lease", "--mine", user=BOB)

        (row,) = self.succeeds("authorize", "decline", one, "-m", "use linux", "--json").json
        self.assertEqual((row["status"], row["reason"]), ("declined", "use linux"))
        broken = self.call("lease", "-b", "gpu", user=BOB)
        self.assertEqual(broken.code, 8)
        self.assertIn("use linux", broken.errors)

    def test_subjects_are_decided_about_before_they_ask(self) -> None:
        rows = self.succeeds(
            *("authorize", "approve", "-b", "gpu", "builder/tests", "project/vision", "--json")
        ).json
        self.assertEqual(
            [(row["subject"], row["status"]) for row in rows],
            [("builder/tests", "approved"), ("project/vision", "approved")],
        )
        self.succeeds("authorize", "decline", "-b", "gpu", "builder/tests")
        (row,) = self.rows("?subject=builder/tests")
        self.assertEqual(row["status"], "declined")
        found = self.succeeds("authorize", "list", "--status", "approved").out
        self.assertIn("project/vision", found)
        self.assertNotIn("builder/tests", found)

    def test_one_that_is_refused_does_not_keep_the_others_back(self) -> None:
        ended = self.call(
            *("authorize", "approve", "-b", "gpu", "gpu/*", "project/a", "somebody", "--json")
        )
        self.assertEqual(ended.code, 7)
        self.assertEqual([row["subject"] for row in ended.json], ["project/a"])
        self.assertIn("'gpu/*' is neither a builder, a project nor a person", ended.errors)
        self.assertIn("'somebody' is neither", ended.errors)

    def test_what_needs_no_approval_is_refused_with_the_remedy(self) -> None:
        for name in ("linux", "nothing"):
            ended = self.call("authorize", "approve", "-b", name, "builder/tests")
            self.assertEqual(ended.code, 7)
            self.assertIn(f"{name!r} needs no approval", ended.errors)
            self.assertIn("needs_approval=True", ended.errors)

    def test_wrong_command_lines_ask_for_nothing(self) -> None:
        before = self.rows()
        for arguments, what in (
            (("approve", "-b", "gpu", "project/b", "1"), "leave out --blueprint"),
            (("approve", "project/b"), "give --blueprint"),
            (("approve",), "Missing argument"),
            (("list", "--status", "broken"), "'broken' is not one of"),
        ):
            ended = self.call("authorize", *arguments)
            self.assertEqual(ended.code, 2, arguments)
            self.assertIn(what, ended.errors)
        self.assertEqual(self.rows(), before)

    def test_a_wrong_password(self) -> None:
        ended = self.call("authorize", "approve", "-b", "gpu", "project/c", user=EVE)
        self.assertEqual(ended.code, 4)
        self.assertEqual(self.rows("?subject=project/c"), [])


class EditTests(MasterTestCase):
    def linux(self) -> dict[str, Any]:
        (row,) = self.master.rows("drydock_blueprints/linux")
        return row

    def test_fields_are_edited_shown_and_reset(self) -> None:
        ended = self.succeeds(
            *("edit", "linux", "limit=3", "idle_timeout=2h", "max_uses=7"), "-m", "a busy week"
        )
        self.assertIn("limit of linux is 3, configured is 2", ended.out)
        row = self.linux()
        effective = {name: row["effective"][name] for name in ("limit", "idle_timeout", "max_uses")}
        self.assertEqual(effective, {"limit": 3, "idle_timeout": 7200.0, "max_uses": 7})
        self.assertEqual(row["overrides"]["limit"]["author"], ANA)
        shown = self.succeeds("edit", "linux").out
        self.assertRegex(shown, rf"limit +2 +3 +{ANA} +a busy week")
        self.assertRegex(shown, r"idle_timeout +600 +7200")
        self.succeeds("edit", "linux", "max_uses=none")
        self.assertIsNone(self.linux()["effective"]["max_uses"])
        row = self.succeeds("edit", "linux", "limit=4", "--reset", "max_uses", "--json").json
        self.assertEqual(row, self.linux() | {"waiting": row["waiting"]})
        self.assertEqual(list(row["overrides"]), ["idle_timeout", "limit"])
        ended = self.succeeds("edit", "linux", "--reset-all")
        self.assertIn("limit of linux is 2 as configured", ended.out)
        self.assertEqual(self.linux()["overrides"], {})
        self.assertIn("nothing of linux is edited", self.edit("--reset-all").errors)

    def edit(self, *arguments: str, **options: Any) -> Any:
        return self.call("edit", "linux", *arguments, **options)

    def test_all_that_is_wrong_is_told_by_the_master_and_nothing_changes(self) -> None:
        before = self.linux()["version"]
        for arguments, words in (
            (("limit=0", "max_age=x"), ("'limit'", "'max_age'", "Remedy")),
            (("lmit=3",), ("write 'limit'",)),
            (("labels={}",), ("cannot be edited",)),
            (("limit=3", "--reset", "limit"), ("is in values, too",)),
        ):
            ended = self.edit(*arguments)
            self.assertEqual(ended.code, 7, (arguments, ended))
            for each in words:
                self.assertIn(each, ended.errors)
        for arguments, words in (
            (("limit",), ("write FIELD=VALUE",)),
            (("limit=3", "limit=4"), ("limit is given twice",)),
            (("--reset", "lmit"), ("there is no field 'lmit'",)),
        ):
            ended = self.edit(*arguments)
            self.assertEqual(ended.code, 2, (arguments, ended))
            self.assertIn(words[0], ended.errors)
        self.assertEqual(self.linux()["version"], before)

    def test_who_may_not(self) -> None:
        for user, code in ((EVE, 4), ("", 4), (BOB, 5)):
            self.assertEqual(self.edit("limit=3", user=user).code, code, user)
        self.succeeds("edit", "linux", user="")  # reading is for all
