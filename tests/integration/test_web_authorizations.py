"""Who may use a blueprint, asked for and decided over HTTP."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from buildbot.plugins import util

from buildbot_drydock.latent.synthetic import SyntheticPool
from buildbot_drydock.www.authz import DrydockEndpointMatcher
from tests.integration.test_web_docs import Asked, commands
from tests.integration.web import ANA, BOB, EVE, Visitor, WebTestCase, wait_for

PERSON_BOB = f"person/{BOB}"


class AccessTestCase(WebTestCase):
    """Everybody may ask for leases; Ana decides about all blueprints, Eve about ``farm``."""

    def setUp(self) -> None:
        super().setUp()
        self.blueprints = [
            SyntheticPool("linux", limit=2, labels={"os": "debian"}, boot_seconds=0),
            SyntheticPool(
                "gpu",
                limit=2,
                labels={"gpu": "yes"},
                boot_seconds=0,
                allow=[f"person/{ANA}"],
                needs_approval=True,
                approvers="the lab",
            ),
            SyntheticPool(
                "farm", limit=1, labels={"farm": "yes"}, boot_seconds=0, needs_approval=True
            ),
            SyntheticPool(
                "vault", limit=1, labels={"vault": "yes"}, boot_seconds=0, allow=["builder/x"]
            ),
        ]
        deciding = "[ad][pe][pc][rl]*"  # approve, decline
        self.authz = util.Authz(
            allowRules=[
                DrydockEndpointMatcher(
                    action=deciding, blueprint="farm", role="farmers", defaultDeny=False
                ),
                DrydockEndpointMatcher(action="request", role="people"),
                util.AnyControlEndpointMatcher(role="admins"),
            ],
            roleMatchers=[
                util.RolesFromOwner(role="owner"),
                util.RolesFromUsername(roles=["admins", "people"], usernames=[ANA]),
                util.RolesFromUsername(roles=["people"], usernames=[BOB]),
                util.RolesFromUsername(roles=["people", "farmers"], usernames=[EVE]),
            ],
        )

    async def request(self, visitor: Visitor, blueprint: str, **fields: Any) -> int:
        code, lease = await visitor.act(
            "drydock_leases", "request", blueprints=[blueprint], **fields
        )
        self.assertEqual(code, 200, lease)
        number: int = lease["leaseid"]
        return number

    async def asked(self, path: str = "drydock_authorizations") -> dict[str, Any]:
        (row,) = await wait_for(lambda: self.anyone.rows(path))
        found: dict[str, Any] = row
        return found

    async def reasons(self, number: int) -> list[dict[str, Any]]:
        async def some() -> Any:
            (row,) = await self.anyone.rows(f"drydock_leases/{number}")
            return row["reasons"]

        found: list[dict[str, Any]] = await wait_for(some)
        return found


class ApprovalTests(AccessTestCase):
    async def test_a_lease_waits_for_approval_and_is_served_once_it_is_given(self) -> None:
        await self.start()
        number = await self.request(await self.visitor(BOB), "gpu")
        row = await self.asked()
        one = row["authorizationid"]
        self.assertEqual(
            {name: row[name] for name in ("blueprint", "subject", "status", "leaseid", "author")},
            {
                "blueprint": "gpu",
                "subject": PERSON_BOB,
                "status": "requested",
                "leaseid": number,
                "author": "",
            },
        )
        self.assertEqual((row["approvers"], row["in_force"]), ("the lab", True))

        async def is_asked() -> bool:
            (reason,) = await self.reasons(number)
            self.assertEqual((reason["kind"], reason["blueprint"]), ("awaiting-approval", "gpu"))
            return bool(reason["authorization"] == one and "by the lab" in reason["sentence"])

        await wait_for(is_asked)
        ana = await self.visitor(ANA)
        code, decided = await ana.act(
            f"drydock_authorizations/{one}", "approve", reason="for a week"
        )
        self.assertEqual(code, 200, decided)
        self.assertEqual(
            (decided["status"], decided["author"], decided["reason"]),
            ("approved", ANA, "for a week"),
        )
        self.assertGreaterEqual(decided["decided_at"], decided["requested_at"])
        lease = await self.becomes(f"drydock_leases/{number}", status="active")
        self.assertEqual(lease["authorized_by"], f"approval of {PERSON_BOB} by {ANA}")
        sentences = [
            event["sentence"]
            for event in await self.anyone.rows("drydock_blueprints/gpu/drydock_events")
        ]
        self.assertIn(f"{PERSON_BOB} needs approval to use the blueprint.", sentences)
        self.assertIn(
            f"{ANA} approved the use of the blueprint by {PERSON_BOB}: for a week.", sentences
        )

    async def test_a_lease_breaks_when_it_is_declined_and_says_who_did_and_why(self) -> None:
        await self.start()
        number = await self.request(await self.visitor(BOB), "gpu")
        row = await self.asked()
        ana = await self.visitor(ANA)
        await ana.act(
            f"drydock_authorizations/{row['authorizationid']}", "decline", reason="too dear"
        )
        lease = await self.becomes(f"drydock_leases/{number}", status="destroyed")
        self.assertIn(f"which {ANA} declined: too dear", lease["reason"])
        again = await self.request(await self.visitor(BOB), "gpu")
        await self.becomes(f"drydock_leases/{again}", status="destroyed")
        self.assertEqual(len(await self.anyone.rows("drydock_authorizations")), 1)

    async def test_a_withdrawn_approval_ends_no_lease_and_begins_none(self) -> None:
        await self.start()
        ana, bob = await self.visitor(ANA), await self.visitor(BOB)
        subject = {"blueprint": "gpu", "subject": PERSON_BOB}
        code, row = await ana.act("drydock_authorizations", "approve", **subject)
        self.assertEqual((code, row["status"], row["leaseid"]), (200, "approved", None))
        number = await self.request(bob, "gpu")
        await self.becomes(f"drydock_leases/{number}", status="active")
        await ana.act("drydock_authorizations", "decline", **subject, reason="enough")
        refused = await self.request(bob, "gpu")
        await self.becomes(f"drydock_leases/{refused}", status="destroyed")
        (lease,) = await self.anyone.rows(f"drydock_leases/{number}")
        self.assertEqual(lease["status"], "active")

    async def test_who_is_on_the_list_needs_no_approval_and_others_of_a_list_wait(self) -> None:
        await self.start()
        ana, bob = await self.visitor(ANA), await self.visitor(BOB)
        number = await self.request(ana, "gpu")
        lease = await self.becomes(f"drydock_leases/{number}", status="active")
        self.assertEqual(lease["authorized_by"], f"person/{ANA} on the allow list")
        (reason,) = await self.reasons(await self.request(bob, "vault"))
        self.assertEqual((reason["kind"], reason["allow"]), ("not-authorized", ["builder/x"]))
        self.assertEqual(await self.anyone.rows("drydock_authorizations"), [])

    async def test_nobody_asks_in_another_name_than_his_own(self) -> None:
        await self.start()
        bob = await self.visitor(BOB)
        attributes = {"builder": "x", "owner": f"person/{ANA}", "subjects": "builder/x"}
        number = await self.request(bob, "vault", attributes=attributes)
        (reason,) = await self.reasons(number)
        self.assertEqual(reason["subjects"], [PERSON_BOB])
        code, message = await bob.act(
            "drydock_leases", "request", blueprints=["vault"], subjects=["builder/x"]
        )
        self.assertEqual((code, "there is no such field" in message), (400, True), message)

    async def test_a_change_of_the_list_counts_from_then_on(self) -> None:
        await self.start()
        number = await self.request(await self.visitor(BOB), "vault")
        await self.reasons(number)
        definition = SyntheticPool(
            "vault", limit=1, labels={"vault": "yes"}, boot_seconds=0, allow=["person/*"]
        )
        others = [each for each in self.blueprints if each.name != "vault"]
        await self.service.reconfigService(definitions=[*others, definition])
        lease = await self.becomes(f"drydock_leases/{number}", status="active")
        self.assertEqual(lease["authorized_by"], "person/* on the allow list")


class ListingTests(AccessTestCase):
    async def test_authorizations_are_found_by_filters_orders_and_pages(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        for number, (blueprint, action) in enumerate(
            [("gpu", "approve"), ("farm", "decline"), ("gpu", "decline")]
        ):
            subject = f"builder/b{number}"
            await ana.act("drydock_authorizations", action, blueprint=blueprint, subject=subject)

        async def subjects(query: str, path: str = "drydock_authorizations") -> list[str]:
            return [row["subject"] for row in await self.anyone.rows(f"{path}?{query}")]

        self.assertEqual(await subjects("status=declined"), ["builder/b1", "builder/b2"])
        self.assertEqual(
            await subjects("blueprint=gpu&order=-authorizationid&limit=1"), ["builder/b2"]
        )
        self.assertEqual(await subjects("subject=builder/b1"), ["builder/b1"])
        self.assertEqual(await subjects("author__contains=ana&offset=2"), ["builder/b2"])
        nested = "drydock_blueprints/gpu/drydock_authorizations"
        self.assertEqual(await subjects("status=approved", nested), ["builder/b0"])
        self.assertEqual(
            await self.anyone.rows("drydock_authorizations?field=status&status=approved"),
            [{"status": "approved"}],
        )
        code, _ = await self.anyone.ask("drydock_authorizations/99")
        self.assertEqual(code, 404)

    async def test_what_is_asked_for_and_decided_is_told_to_listeners(self) -> None:
        await self.start()
        ana, bob = await self.visitor(ANA), await self.visitor(BOB)
        listener = await self.anyone.listen("drydock_authorizations/*/*")
        await self.request(bob, "gpu")
        row = await self.asked()
        key = f"drydock_authorizations/{row['authorizationid']}"
        self.assertEqual((await listener.heard(f"{key}/new"))["subject"], PERSON_BOB)
        await ana.act(key, "approve")
        self.assertEqual((await listener.heard(f"{key}/update"))["status"], "approved")
        await listener.close()


class GuideTests(AccessTestCase):
    async def test_what_the_guide_says_to_type_works(self) -> None:
        await self.start()
        text = (Path(__file__).parents[2] / "docs" / "authorizations.md").read_text("utf-8")
        number = await self.request(await self.visitor(BOB), "gpu")
        await self.asked()
        ana = await self.visitor(ANA)
        for asked in map(Asked, commands(text)):
            path = asked.path.removeprefix("api/v2/")
            if asked.body is not None:
                call = asked.body
                code, answer = await ana.act(path, call["method"], **call["params"])
                self.assertEqual(code, 200, (path, call, answer))
            elif not asked.logs_in:
                self.assertEqual([row["subject"] for row in await ana.rows(path)], [PERSON_BOB])
        await self.becomes(f"drydock_leases/{number}", status="active")

    def test_the_blueprints_of_the_guide_are_right(self) -> None:
        text = (Path(__file__).parents[2] / "docs" / "authorizations.md").read_text("utf-8")
        blocks = re.findall(r"```python\n(SyntheticPool.*?)```", text, re.DOTALL)
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            made = eval(block, {"SyntheticPool": SyntheticPool})
            self.assertEqual(made.problems, ())


class RightsTests(AccessTestCase):
    async def test_who_may_decide_about_what(self) -> None:
        await self.start()
        visitors = {"ana": await self.visitor(ANA), "eve": await self.visitor(EVE)}
        visitors |= {"bob": await self.visitor(BOB), "nobody": self.anyone}
        may = {("ana", "gpu"), ("ana", "farm"), ("eve", "farm")}
        ana = visitors["ana"]
        ids = {}
        for blueprint in ("gpu", "farm"):
            subject = {"blueprint": blueprint, "subject": "builder/tests"}
            _, row = await ana.act("drydock_authorizations", "approve", **subject)
            ids[blueprint] = row["authorizationid"]
        for action in ("approve", "decline"):
            for name, visitor in visitors.items():
                for blueprint, one in ids.items():
                    for path, params in (
                        (f"drydock_authorizations/{one}", {}),
                        (
                            "drydock_authorizations",
                            {"blueprint": blueprint, "subject": "builder/y"},
                        ),
                    ):
                        code, answer = await visitor.act(path, action, reason=name, **params)
                        expected = 200 if (name, blueprint) in may else 403
                        self.assertEqual(code, expected, (name, action, path, params, answer))
                        if code == 200:
                            self.assertEqual(answer["author"], ANA if name == "ana" else EVE)

    async def test_what_is_odd_is_refused_with_a_remedy(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        for params, message in (
            ({"blueprint": "linux", "subject": "person/x"}, "needs no approval; its allow list"),
            ({"blueprint": "vault", "subject": "person/x"}, "set needs_approval=True there"),
            ({"blueprint": "nothing", "subject": "person/x"}, "blueprint: 'nothing'"),
            ({"blueprint": "gpu", "subject": "tests"}, "write builder/NAME or project/NAME"),
            ({"blueprint": "gpu", "subject": "builder/a "}, "subject: 'builder/a '"),
            ({"blueprint": "gpu"}, "subject is missing"),
            ({"subject": "person/x"}, "blueprint is missing"),
            ({"blueprint": 1, "subject": "person/x"}, "blueprint"),
            ({"blueprint": "gpu", "subject": "person/x" * 100}, "subject"),
            ({"blueprint": "gpu", "subject": "person/\0"}, "characters that no database holds"),
        ):
            code, answer = await ana.act("drydock_authorizations", "approve", **params)
            self.assertEqual((code, message in answer), (400, True), (params, answer))
        code, _ = await ana.act("drydock_authorizations/99", "approve")
        self.assertEqual(code, 404)
        self.assertEqual(await self.anyone.rows("drydock_authorizations"), [])


class PrivacyTests(AccessTestCase):
    """What people write down about their leases is theirs, and the rules'."""

    ATTRIBUTES = {"why": "a secret plan", "builder": "tests"}

    def setUp(self) -> None:
        super().setUp()
        self.authz.allowRules[:0] = [
            DrydockEndpointMatcher(action="get", owner="person/*", role="owner", defaultDeny=False),
            DrydockEndpointMatcher(action="get", owner="person/*", role="admins"),
            DrydockEndpointMatcher(
                action="re[ln]e*", owner="person/*", role="owner", defaultDeny=False
            ),
        ]

    async def test_only_the_owner_and_whom_the_rules_allow_see_attributes_or_release(self) -> None:
        await self.start()
        visitors = {"ana": await self.visitor(ANA), "bob": await self.visitor(BOB)}
        visitors |= {"eve": await self.visitor(EVE), "nobody": self.anyone}
        for name, visitor in visitors.items():
            allowed = name in ("ana", "bob")
            # One that waits, which no rule about blueprints covers, and one that has a host.
            for blueprint in ("vault", "linux"):
                bob = visitors["bob"]
                number = await self.request(bob, blueprint, attributes=self.ATTRIBUTES)
                path = f"drydock_leases/{number}"
                for each in (path, f"{path}/drydock_events"):
                    code, answer = await visitor.ask(each)
                    self.assertEqual(code, 200 if allowed else 403, (name, each))
                    self.assertEqual("a secret plan" in str(answer), allowed and each == path)
                code, _ = await visitor.act(path, "release")
                self.assertEqual(code, 200 if allowed else 403, (name, blueprint))
                await bob.act(path, "release")

    async def test_lists_and_messages_tell_nobody(self) -> None:
        await self.start()
        listener = await self.anyone.listen("*/*/*")
        bob = await self.visitor(BOB)
        code, row = await bob.act(
            "drydock_leases", "request", blueprints=["linux"], attributes=self.ATTRIBUTES
        )
        self.assertEqual((code, row["attributes"]), (200, self.ATTRIBUTES))
        await listener.heard(f"drydock_leases/{row['leaseid']}/new")
        await wait_for(lambda: listener.keys().count(f"drydock_leases/{row['leaseid']}/update"))
        self.assertNotIn("a secret plan", listener.text)
        for query in ("", "?field=attributes&field=builder", "?field=attributes"):
            for visitor in (bob, self.anyone):
                (found,) = await visitor.rows(f"drydock_leases{query}")
                self.assertEqual((found["attributes"], found.get("builder")), ({}, None))
        await listener.close()
