"""Editing a blueprint over HTTP, and what becomes of it over restarts and reconfigs."""

from __future__ import annotations

from typing import Any

from buildbot_drydock.latent.synthetic import SyntheticPool
from tests.integration.web import ANA, BOB, Visitor, WebTestCase, wait_for

LINUX = "drydock_blueprints/linux"


class EditTests(WebTestCase):
    async def linux(self, visitor: Visitor | None = None) -> dict[str, Any]:
        (row,) = await (visitor or self.anyone).rows(LINUX)
        return row

    async def test_an_edit_is_in_force_shown_and_told_of(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        code, row = await ana.act(LINUX, "edit", values={"limit": 3, "min_ready": 3}, reason="rush")
        self.assertEqual(code, 200, row)
        self.assertEqual((row["limit"], row["min_ready"]), (3, 3))
        self.assertEqual(row["configuration"]["limit"], 2)
        self.assertEqual((row["effective"]["limit"], row["effective"]["min_ready"]), (3, 3))
        override = row["overrides"]["limit"]
        self.assertEqual((override["value"], override["author"]), (3, ANA))
        self.assertEqual((override["reason"], override["ignored"]), ("rush", ""))
        self.assertGreater(override["at"], 1e9)
        self.assertTrue(row["schema"]["properties"]["limit"]["editable"])
        self.assertNotIn("editable", row["schema"]["properties"]["labels"])
        await self.becomes(LINUX, living=3, idle=3)
        (event,) = await self.anyone.rows("drydock_events?kind=blueprint-edited")
        self.assertEqual((event["actor"], event["blueprint"]), (ANA, "linux"))
        self.assertEqual(event["data"]["before"], {"limit": 2, "min_ready": 0})
        self.assertEqual(event["data"]["after"], {"limit": 3, "min_ready": 3})
        self.assertIn("limit from 2 to 3", event["sentence"])

    async def test_a_reset_brings_back_what_is_configured(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        await ana.act(LINUX, "edit", values={"limit": 9, "max_uses": 7})
        code, row = await ana.act(LINUX, "edit", reset=["limit"])
        self.assertEqual((code, row["limit"], list(row["overrides"])), (200, 2, ["max_uses"]))
        events = await self.anyone.rows("drydock_events?kind=blueprint-edited&order=-eventid")
        self.assertIn("limit from 9 to 2 as configured", events[0]["sentence"])
        version = row["version"]
        code, row = await ana.act(LINUX, "edit", reset=["limit"])
        self.assertEqual((code, row["version"]), (200, version))

    async def test_what_is_wrong_is_told_and_changes_nothing(self) -> None:
        await self.start()
        ana, bob = await self.visitor(ANA), await self.visitor(BOB)
        for params, words in (
            ({"values": {"limit": 0, "max_age": "x"}}, ("'limit'", "'max_age'", "Remedy")),
            ({"values": {"min_ready": 3}}, ("'min_ready'", "lower min_ready to 2")),
            ({"values": {"labels": {"os": "x"}}}, ("cannot be edited", "change it in master.cfg")),
            ({"values": {"lmit": 3}}, ("write 'limit'",)),
            ({"values": {"limit": 3}, "reset": ["limit"]}, ("is in values, too",)),
            ({"values": [1]}, ("'values'",)),
            ({"limit": 3}, ("no such field",)),
        ):
            code, message = await ana.act(LINUX, "edit", **params)
            self.assertEqual((params, code), (params, 400), message)
            for each in words:
                self.assertIn(each, message)
        code, _ = await ana.act("drydock_blueprints/none", "edit", values={})
        self.assertEqual(code, 404)
        code, _ = await bob.act(LINUX, "edit", values={"limit": 9})
        self.assertEqual(code, 403)
        row = await self.linux()
        self.assertEqual((row["limit"], row["overrides"]), (2, {}))
        self.assertEqual(await self.anyone.rows("drydock_events?kind=blueprint-edited"), [])

    async def test_an_edit_survives_reconfigs_until_it_no_longer_fits(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        await ana.act(LINUX, "edit", values={"min_ready": 2, "max_uses": 5})
        self.blueprints[0] = SyntheticPool("linux", limit=4, labels={"os": "debian"})
        await self.reconfigure()
        row = await self.linux()
        self.assertEqual((row["limit"], row["min_ready"]), (4, 2))
        self.blueprints[0] = SyntheticPool("linux", limit=1, labels={"os": "debian"})
        await self.reconfigure()
        row = await self.linux()
        self.assertEqual((row["limit"], row["min_ready"]), (1, 0))
        self.assertIn("lower min_ready to 1", row["overrides"]["min_ready"]["ignored"])
        self.assertEqual(row["overrides"]["max_uses"]["ignored"], "")
        self.assertEqual(row["effective"]["max_uses"], 5)
        await self.active_lease(ana)  # the loop goes on

    async def reconfigure(self) -> None:
        from buildbot_drydock.config import Drydock

        config: dict[str, Any] = {"workers": [], "services": []}
        drydock = Drydock(blueprints=self.blueprints)
        drydock.configure(config)
        await self.service.reconfigService(definitions=drydock.definitions)

    async def test_what_another_master_edits_is_in_force_here(self) -> None:
        await self.start()
        from buildbot_drydock.maintenance import Maintenance
        from buildbot_drydock.store.sql import SqlStore

        store = SqlStore(self.master.db.pool, self.master.reactor)
        elsewhere = Maintenance(store, self.master.reactor, lambda: None)
        await elsewhere.edit(
            *("linux", {"min_ready": 2}, ()),
            look=lambda overrides: {}, check=lambda overrides: None, actor="zoe",
        )  # fmt: skip
        self.master.mq.produce(("drydock", "99", "wake"), {})
        await self.becomes(LINUX, idle=2, min_ready=2)

    async def test_what_was_edited_is_told_of_live(self) -> None:
        await self.start()
        listener = await self.anyone.listen("drydock_blueprints/*/*")
        ana = await self.visitor(ANA)
        await ana.act(LINUX, "edit", values={"limit": 5})
        await wait_for(
            lambda: any(
                message["name"] == "linux" and message["limit"] == 5
                for _, message in listener.messages
            )
        )
        await listener.close()
