"""The ledger over HTTP: what each provider says exists beside what the rows say, and its end."""

from __future__ import annotations

from typing import Any

from buildbot_drydock.errors import RetryLater
from buildbot_drydock.interfaces import HostSpec
from buildbot_drydock.latent.synthetic import Failure, Script, SyntheticPool
from buildbot_drydock.latent.synthetic_cloud import SyntheticCloud
from tests.integration.web import ANA, BOB, WebTestCase, wait_for


class Protected(RetryLater):
    """Not to be tried again while a test runs."""

    def __init__(self, message: str) -> None:
        super().__init__(message, after=1000.0)


class LedgerTests(WebTestCase):
    def setUp(self) -> None:
        super().setUp()
        # It is asked often, so that what happens behind its back is soon seen.
        self.blueprints[0] = SyntheticPool(
            *("linux",), limit=2, labels={"os": "debian"}, boot_seconds=0, hourly_price=0.36,
            poll_interval=0.05, sweep_interval=0.1, idle_timeout=None,
        )  # fmt: skip

    @property
    def cloud(self) -> SyntheticCloud:
        cloud: SyntheticCloud = self.service._providers["linux"]._cloud  # type: ignore[attr-defined]
        return cloud

    def keep_strays(self) -> None:
        """Let no host be destroyed."""
        keep = Failure(verb="destroy", error=Protected, message="it is protected")
        self.cloud.script = Script(failures=(keep,))

    async def entries(self, count: int, path: str = "drydock_ledger") -> list[dict[str, Any]]:
        """Wait until there are so many, and return them."""

        async def found() -> Any:
            rows = await self.anyone.rows(path)
            return (rows,) if len(rows) == count else None

        rows: list[dict[str, Any]]
        (rows,) = await wait_for(found)
        return rows

    async def test_a_row_and_its_host_are_one_entry(self) -> None:
        await self.start()
        await self.active_lease(await self.visitor(BOB))
        (entry,) = await self.entries(1)
        (resource,) = await self.anyone.rows("drydock_resources")
        for name in ("blueprint", "token", "identity", "address", "resourceid", "status"):
            self.assertEqual(entry[name], resource[name])
        self.assertEqual((entry["verdict"], entry["listed"]), ("matched", True))
        self.assertEqual((entry["health"], entry["listing_error"]), ("ready", ""))
        self.assertEqual((entry["actions"], entry["hourly_price"]), ([], 0.36))
        self.assertGreaterEqual(entry["age"], 0)
        self.assertAlmostEqual(entry["cost"], 0.36 * entry["age"] / 3600, places=4)
        self.assertEqual(entry["masterid"], self.master.masterid)
        self.assertGreater(entry["listed_at"], 1e9)
        self.assertIn(f"resource {resource['resourceid']} accounts for it", entry["why"])
        (one,) = await self.anyone.rows(f"drydock_ledger/{entry['ledgerid']}")
        self.assertEqual(one["token"], entry["token"])
        self.assertEqual(await self.entries(0, "drydock_blueprints/gpu/drydock_ledger"), [])
        (found,) = await self.anyone.rows("drydock_ledger?verdict=matched&field=verdict&limit=1")
        self.assertEqual(found, {"verdict": "matched"})

    async def test_an_orphan_says_what_becomes_of_it_and_can_be_destroyed(self) -> None:
        await self.start()
        self.keep_strays()
        self.cloud.create("linux", "lost", HostSpec())
        (orphan,) = await self.entries(1)
        self.assertEqual((orphan["verdict"], orphan["resourceid"]), ("orphan", None))
        self.assertEqual(orphan["actions"], ["destroy"])

        async def failed() -> Any:
            (row,) = await self.anyone.rows("drydock_ledger")
            return row if "failed once" in row["why"] else None

        row = await wait_for(failed)
        self.assertIn("it is protected", row["why"])
        self.assertGreater(row["due_at"], self.service.now() + 900)
        self.assertIn("tried again in 17 min", row["why"])
        self.cloud.script = Script()
        bob, ana = await self.visitor(BOB), await self.visitor(ANA)
        path = f"drydock_ledger/{orphan['ledgerid']}"
        code, _ = await bob.act(path, "destroy")
        self.assertEqual(code, 403)
        self.assertEqual(self.cloud.living(), 1)
        code, answer = await ana.act(path, "adopt")
        self.assertEqual(code, 400)
        self.assertIn("is told to go as soon as a master lists it", answer)
        code, answer = await ana.act(path, "destroy", reason="forgotten")
        self.assertEqual(code, 200, answer)
        await self.entries(0)
        self.assertEqual(self.cloud.living(), 0)
        events = await self.anyone.rows("drydock_events?kind=stray-destroyed&order=-eventid")
        self.assertEqual(events[0]["actor"], ANA)
        self.assertIn("forgotten", events[0]["sentence"])
        code, _ = await self.anyone.ask(path)
        self.assertEqual(code, 404)

    async def test_a_twin_can_be_destroyed_and_the_host_that_counts_cannot(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        number = await self.active_lease(ana)
        self.keep_strays()
        (entry,) = await self.entries(1)
        other = self.cloud.make_twin(entry["token"])
        own, twin = sorted(await self.entries(2), key=lambda each: each["verdict"])
        self.assertEqual((own["verdict"], own["identity"]), ("matched", entry["identity"]))
        self.assertEqual((twin["verdict"], twin["identity"]), ("twin", other))
        self.assertEqual(twin["token"], own["token"])
        code, message = await ana.act(f"drydock_ledger/{own['ledgerid']}", "destroy")
        self.assertEqual(code, 400)
        self.assertIn("reclaim that resource instead", message)
        self.cloud.script = Script()
        code, message = await ana.act(f"drydock_ledger/{twin['ledgerid']}", "destroy")
        self.assertEqual(code, 200, message)
        (left,) = await self.entries(1)
        self.assertEqual(left["identity"], own["identity"])
        await self.becomes(f"drydock_leases/{number}", status="active")

    async def test_what_is_asked_oddly_is_answered_with_what_to_write(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        for path, words in (
            ("drydock_ledger?verdit=orphan", "there is no such parameter"),
            ("drydock_ledger?actions=destroy", "cannot be filtered"),
            ("drydock_ledger?order=actions", "order by another field"),
        ):
            code, answer = await self.anyone.ask(path)
            self.assertEqual((path, code), (path, 400), answer)
            self.assertIn(words, answer["error"])
        for path in ("drydock_ledger/none", "drydock_ledger/linux-0123456789abcdef"):
            code, _ = await self.anyone.ask(path)
            self.assertEqual((path, code), (path, 404))
            code, _ = await ana.act(path, "destroy")
            self.assertEqual((path, code), (path, 404))
