"""The web pages of a real master: who is offered them, from where, and which actions they offer."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import treq

from buildbot_drydock.config import Drydock
from buildbot_drydock.latent.synthetic import SyntheticPool
from buildbot_drydock.www.application import NAME, ep
from tests.integration.web import ANA, BOB, EVE, Visitor, WebTestCase


class PermissionTests(WebTestCase):
    async def allowed(self, visitor: Visitor, *paths: str) -> dict[str, Any]:
        query = urlencode([("on", path) for path in paths])
        response = await treq.get(
            f"{self.url}drydock/permissions?{query}", cookies=visitor._cookies, persistent=False
        )
        self.assertEqual(response.code, 200)
        self.assertEqual(response.headers.getRawHeaders("cache-control"), ["no-store"])
        found: dict[str, Any] = json.loads(await response.content())
        return found

    async def test_a_visitor_is_told_what_he_may_do(self) -> None:
        await self.start()
        ana, bob, eve = [await self.visitor(name) for name in (ANA, BOB, EVE)]
        number = await self.active_lease(bob, blueprints=["linux"])
        lease, all_leases = f"drydock_leases/{number}", "drydock_leases"
        blueprint = "drydock_blueprints/linux"
        self.assertEqual(
            await self.allowed(ana, lease, all_leases, blueprint),
            {
                lease: ["release", "renew"],
                all_leases: ["request"],
                blueprint: ["pause", "drain", "disable", "resume", "edit"],
            },
        )
        self.assertEqual(
            await self.allowed(bob, lease, all_leases, blueprint),
            {lease: ["release", "renew"], all_leases: ["request"], blueprint: []},
        )
        self.assertEqual(
            await self.allowed(eve, lease, all_leases, blueprint),
            {lease: [], all_leases: ["request"], blueprint: []},
        )
        self.assertEqual(
            await self.allowed(self.anyone, lease, all_leases, blueprint),
            {lease: [], all_leases: [], blueprint: []},
        )

    async def test_what_is_said_to_be_allowed_is_what_is_done(self) -> None:
        await self.start()
        bob, eve = await self.visitor(BOB), await self.visitor(EVE)
        number = await self.active_lease(bob, blueprints=["linux"])
        for visitor in (eve, self.anyone):
            self.assertEqual((await visitor.act(f"drydock_leases/{number}", "release"))[0], 403)
        self.assertEqual((await bob.act(f"drydock_leases/{number}", "release"))[0], 200)

    async def test_nothing_is_allowed_on_what_is_not_there_or_not_ours(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        paths = [
            "drydock_leases/99/drydock_events",
            "nonsense",
            "builders",
            "",
            "drydock_hosts/a/b",
        ]
        self.assertEqual(await self.allowed(ana, *paths), {path: [] for path in paths})


class ConfigurationTests(WebTestCase):
    def plugins(self, www: Any) -> Any:
        """Return the plugins of the web server, as a configuration has them after ours."""
        config: dict[str, Any] = {"workers": [], "configurators": []}
        if www is not None:
            config["www"] = www
        Drydock(blueprints=[SyntheticPool("linux")]).configure(config)
        return config.get("www", {}).get("plugins") if isinstance(config.get("www"), dict) else None

    def test_the_pages_are_added_where_there_is_a_web_server(self) -> None:
        self.assertEqual(self.plugins({"port": 1}), {NAME: {}})
        self.assertEqual(
            self.plugins({"port": 1, "plugins": {"badges": {}}}), {"badges": {}, NAME: {}}
        )

    def test_what_the_configuration_says_of_them_is_kept(self) -> None:
        self.assertEqual(
            self.plugins({"port": 1, "plugins": {NAME: {"own": 1}}}), {NAME: {"own": 1}}
        )

    def test_a_master_without_a_web_server_gets_none(self) -> None:
        self.assertNotIn(NAME, self.plugins(None) or {})
        self.assertNotIn(NAME, self.plugins({}) or {})

    def test_what_is_wrong_is_left_for_buildbot_to_complain_of(self) -> None:
        self.assertEqual(self.plugins({"port": 1, "plugins": ["badges"]}), ["badges"])
        self.assertIsNone(self.plugins("nonsense"))

    def test_pages_that_were_not_built_are_not_named(self) -> None:
        self.patch(ep, "static_dir", ep.static_dir / "missing")
        self.assertIsNone(self.plugins({"port": 1}))


class BundleTests(WebTestCase):
    async def test_browsers_ask_again_for_the_bundle(self) -> None:
        await self.start()
        for name in ("scripts.js", "styles.css"):
            response = await treq.get(f"{self.url}plugins/{NAME}/{name}", persistent=False)
            content = await response.content()
            self.assertEqual(response.code, 200)
            self.assertEqual(content, (ep.static_dir / name).read_bytes())
            self.assertEqual(response.headers.getRawHeaders("cache-control"), ["no-cache"])

    async def test_every_visitor_is_given_the_pages(self) -> None:
        await self.start()
        response = await treq.get(self.url, persistent=False)
        self.assertIn('"plugins": {"drydock": {}', (await response.content()).decode())
