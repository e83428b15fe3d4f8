"""The data API over HTTP: what is read, what is refused, who may do what, and live messages."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from buildbot_drydock.model import LeaseStatus
from tests.integration.web import ANA, BOB, EVE, WebTestCase, wait_for


class ReadingTests(WebTestCase):
    async def test_blueprints_say_what_they_are_and_how_much_is_in_use(self) -> None:
        await self.start()
        number = await self.active_lease(await self.visitor(BOB))
        (linux, gpu) = await self.anyone.rows("drydock_blueprints")
        self.assertEqual(
            (linux["name"], linux["kind"], linux["state"]), ("linux", "synthetic", "ready")
        )
        self.assertEqual((linux["limit"], linux["slots"], linux["leased"]), (2, 2, 1))
        self.assertEqual((linux["resources"], linux["living"]), ({"active": 1}, 1))
        self.assertEqual(linux["configuration"]["labels"], {"os": "debian"})
        self.assertEqual((gpu["living"], gpu["idle"], gpu["schema"]), (0, 0, None))
        (one,) = await self.anyone.rows("drydock_blueprints/linux")
        self.assertIn("limit", one["schema"]["properties"])
        (lease,) = await self.anyone.rows(f"drydock_leases/{number}")
        self.assertEqual((lease["person"], lease["blueprint"]), (BOB, "linux"))

    async def test_a_waiting_lease_says_why(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        await self.active_lease(ana, blueprints=["gpu"])
        _, lease = await ana.act("drydock_leases", "request", requires={"gpu": "yes"})

        async def reasons() -> Any:
            (row,) = await self.anyone.rows(f"drydock_leases/{lease['leaseid']}")
            return row["reasons"]

        found = await wait_for(reasons)
        full = next(each for each in found if each["blueprint"] == "gpu")
        self.assertEqual((full["kind"], full["leased"], full["slots"]), ("full", 1, 1))
        self.assertIn("gpu is full: 1 of 1 slots leased", full["sentence"])
        (gpu,) = await self.anyone.rows("drydock_blueprints/gpu")
        self.assertEqual(gpu["waiting"], 1)

    async def test_rows_are_found_by_filters_orders_pages_and_fields(self) -> None:
        await self.start()
        bob = await self.visitor(BOB)
        first = await self.active_lease(bob)
        second = await self.active_lease(bob)
        self.assertEqual(
            await self.anyone.rows("drydock_leases?order=-leaseid&field=leaseid&field=status"),
            [{"leaseid": second, "status": "active"}, {"leaseid": first, "status": "active"}],
        )
        _, answer = await self.anyone.ask("drydock_leases?limit=1&offset=1&field=leaseid")
        self.assertEqual(answer, {"drydock_leases": [{"leaseid": second}], "meta": {"total": 2}})
        (row,) = await self.anyone.rows(f"drydock_leases?leaseid__gt={first}")
        self.assertEqual(row["leaseid"], second)
        self.assertEqual(await self.anyone.rows("drydock_leases?status__ne=active"), [])
        (only,) = await self.anyone.rows(
            "drydock_events?kind=lease-requested&limit=1&field=sentence&field=kind"
        )
        self.assertIn(BOB, only["sentence"])

    async def test_what_belongs_together_is_nested(self) -> None:
        await self.start()
        number = await self.active_lease(await self.visitor(BOB))
        (lease,) = await self.anyone.rows(f"drydock_leases/{number}")
        (resource,) = await self.anyone.rows("drydock_blueprints/linux/drydock_resources")
        self.assertEqual(lease["resourceid"], resource["resourceid"])
        of = f"drydock_resources/{resource['resourceid']}"
        self.assertEqual(await self.anyone.rows(of), [resource])
        for path in (
            f"{of}/drydock_leases",
            "drydock_blueprints/linux/drydock_leases",
        ):
            self.assertEqual([r["leaseid"] for r in await self.anyone.rows(path)], [number])
        self.assertEqual(await self.anyone.rows("drydock_blueprints/gpu/drydock_leases"), [])
        self.assertEqual(await self.anyone.rows("workers/linux-001/drydock_leases"), [])
        self.assertEqual(await self.anyone.rows("builds/1/drydock_leases"), [])
        kinds = {
            path: [each["kind"] for each in await self.anyone.rows(f"{path}/drydock_events")]
            for path in (f"drydock_leases/{number}", of, "drydock_blueprints/linux")
        }
        self.assertIn("lease-acquired", kinds[f"drydock_leases/{number}"])
        self.assertIn("resource-ready", kinds[of])
        self.assertIn("resource-requested", kinds["drydock_blueprints/linux"])
        (event,) = await self.anyone.rows("drydock_events/1")
        self.assertEqual(event["eventid"], 1)

    async def test_what_is_not_there_is_not_found(self) -> None:
        await self.start()
        for path in (
            *("drydock_leases/99", "drydock_leases/-1", f"drydock_leases/{10**30}"),
            *("drydock_resources/99", "drydock_events/99999", "drydock_blueprints/none"),
            *("drydock_hosts/none", "drydock_hosts/a%20b"),
        ):
            code, answer = await self.anyone.ask(path)
            self.assertEqual((path, code), (path, 404), answer)
        self.assertEqual(await self.anyone.rows("drydock_hosts"), [])

    async def test_odd_questions_are_answered_with_what_to_write(self) -> None:
        await self.start()
        for question, words in (
            ("limit=-1", "limit: -1 is not between 0 and 1000"),
            ("limit=1001", "limit"),
            ("offset=99999999", "by __lt or __gt"),
            ("order=", "order: it is empty"),
            ("order=-", "order"),
            ("order=owner", "give leaseid or since"),
            ("field=", "field"),
            ("field=nonce", "nonce"),
            ("nonce=x", "nonce"),
            ("status__foo=x", "use status__eq or"),
            ("requires=x", "requires"),
            ("owner=%00", "owner"),
            ("owner=%ff", "not UTF-8"),
            ("leaseid=99999999999999999999", "out of range"),
            ("since__gt=nan", "since"),
            ("since__gt=1&since__gt=2", "one value"),
            ("property=x", "no such parameter"),
        ):
            code, answer = await self.anyone.ask(f"drydock_leases?{question}")
            self.assertEqual((question, code), (question, 400), answer)
            self.assertIn(words, answer["error"], question)
        code, answer = await self.anyone.ask("drydock_blueprints?labels=x")
        self.assertEqual(code, 400, answer)
        code, answer = await self.anyone.ask("drydock_blueprints?order=labels")
        self.assertEqual(code, 400, answer)
        names = await self.anyone.rows("drydock_blueprints?retry_at__lt=5&name__contains=i")
        self.assertEqual(names, [])

    async def test_the_specification_lists_every_path(self) -> None:
        await self.start()
        specs = {
            spec["path"]: spec for spec in await self.anyone.rows("application.spec?limit=1000")
        }
        for name in ("blueprints", "resources", "leases", "events", "hosts"):
            self.assertIn(f"drydock_{name}", specs)
        fields = [f["name"] for f in specs["drydock_leases/n:leaseid"]["type_spec"]["fields"]]
        self.assertIn("reasons", fields)
        self.assertNotIn("nonce", fields)

    async def test_nothing_is_found_once_drydock_has_left_the_configuration(self) -> None:
        await self.start()
        service = self.service
        self.patch(self.master.service_manager, "namedServices", {})
        for path in ("drydock_leases", "drydock_leases/1", "drydock_blueprints", "drydock_hosts"):
            code, answer = await self.anyone.ask(path)
            self.assertEqual((path, code), (path, 404), answer)
        ana = await self.visitor(ANA)
        code, answer = await ana.act("drydock_leases/1", "release")
        self.assertEqual(code, 404, answer)
        self.master.service_manager.namedServices["drydock"] = service

    async def test_a_reconfig_leaves_the_paths_as_they_are(self) -> None:
        await self.start()
        self.master.config_loader.config_dict = self.configuration()
        await self.master.doReconfig()
        self.assertEqual(len(await self.anyone.rows("drydock_blueprints")), 2)


class ActionTests(WebTestCase):
    async def test_an_anonymous_visitor_may_read_and_change_nothing(self) -> None:
        await self.start()
        number = await self.active_lease(await self.visitor(BOB))
        (lease,) = await self.anyone.rows(f"drydock_leases/{number}")
        for path, method in (
            *(("drydock_leases", "request"), (f"drydock_leases/{number}", "release")),
            *((f"drydock_leases/{number}", "renew"), ("drydock_blueprints/linux", "pause")),
            (f"drydock_resources/{lease['resourceid']}", "reclaim"),
            ("drydock_hosts/build1", "disable"),
        ):
            code, message = await self.anyone.act(path, method)
            self.assertEqual((path, method, code), (path, method, 403), message)
        self.assertEqual(await self.anyone.rows(f"drydock_leases/{number}"), [lease])

    async def test_who_requested_a_lease_may_release_it_and_nobody_else_but_an_admin(self) -> None:
        await self.start()
        ana, bob, eve = [await self.visitor(name) for name in (ANA, BOB, EVE)]
        first, second = await self.active_lease(bob), await self.active_lease(bob)
        code, message = await eve.act(f"drydock_leases/{first}", "release")
        self.assertEqual(code, 403, message)
        code, message = await bob.act("drydock_blueprints/linux", "pause")
        self.assertEqual(code, 403, message)
        code, lease = await bob.act(f"drydock_leases/{first}", "release", reason="done")
        self.assertEqual((code, lease["status"]), (200, "released"))
        code, lease = await ana.act(f"drydock_leases/{second}", "release")
        self.assertEqual((code, lease["status"]), (200, "released"))
        for number, actor in ((first, BOB), (second, ANA)):
            released = f"drydock_leases/{number}/drydock_events?kind=lease-released"
            (event,) = await self.anyone.rows(released)
            self.assertEqual(event["actor"], actor)
            await self.becomes(f"drydock_leases/{number}", status="destroyed")
        code, lease = await ana.act(f"drydock_leases/{second}", "release")
        self.assertEqual((code, lease["status"]), (200, "destroyed"))

    async def test_a_rule_for_one_blueprint_covers_no_request_that_could_get_another(self) -> None:
        await self.start()
        bob = await self.visitor(BOB)
        for blueprints in (["gpu"], ["linux", "gpu"], []):
            code, message = await bob.act("drydock_leases", "request", blueprints=blueprints)
            self.assertEqual(code, 403, (blueprints, message))

    async def test_no_other_path_leads_around_that(self) -> None:
        await self.start()
        bob, ana = await self.visitor(BOB), await self.visitor(ANA)
        path = "drydock_blueprints/linux/drydock_leases"
        for visitor, blueprints in ((bob, ["gpu"]), (bob, []), (ana, ["gpu"])):
            code, message = await visitor.act(path, "request", blueprints=blueprints)
            self.assertIn(code, (400, 403), message)
        self.assertEqual(await self.anyone.rows("drydock_leases"), [])

    async def test_a_lease_lives_as_long_as_was_asked_for_and_can_be_renewed(self) -> None:
        await self.start()
        bob = await self.visitor(BOB)
        code, lease = await bob.act(
            "drydock_leases", "request", blueprints=["linux"], seconds=500, attributes={"for": "me"}
        )
        self.assertEqual(code, 200, lease)
        self.assertEqual(round(lease["expires_at"] - lease["requested_at"]), 500)
        self.assertEqual(lease["attributes"], {"for": "me"})
        self.assertNotIn(lease["leaseid"], self.service.leases.held())
        path = f"drydock_leases/{lease['leaseid']}"
        code, renewed = await bob.act(path, "renew", seconds=5000)
        self.assertGreaterEqual(renewed["expires_at"] - lease["requested_at"], 5000)
        code, shorter = await bob.act(path, "renew", seconds=10)
        self.assertEqual((code, shorter["expires_at"]), (200, renewed["expires_at"]))
        (event,) = await self.anyone.rows(f"{path}/drydock_events?kind=lease-renewed")
        self.assertEqual((event["actor"], event["data"]["seconds"]), (BOB, 5000))
        await bob.act(path, "release")
        code, message = await bob.act(path, "renew")
        self.assertEqual(code, 400)
        self.assertIn("has ended", message)

    async def test_the_holder_of_a_lease_that_is_released_by_hand_is_told(self) -> None:
        await self.start()
        lease = await self.service.leases.request(owner="worker/linux-001")
        await self.service.leases.when_active(lease.id)
        lost: Deferred[Any] = Deferred()
        self.service.leases.hold(lease.id, lost.callback)
        ana = await self.visitor(ANA)
        code, answer = await ana.act(f"drydock_leases/{lease.id}", "release", reason="maintenance")
        self.assertEqual(code, 200, answer)
        self.assertEqual((await lost).status, LeaseStatus.RELEASED)
        (row,) = await self.anyone.rows(f"drydock_leases/{lease.id}")
        self.assertEqual(
            (row["worker"], row["reason"]), ("linux-001", f"{ANA} released it: maintenance")
        )

    async def test_blueprints_are_paused_drained_disabled_and_resumed(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        until = self.service.now() + 1000
        for method, mode in (("pause", "paused"), ("drain", "draining"), ("disable", "disabled")):
            code, row = await ana.act(
                "drydock_blueprints/linux", method, reason="a new kernel", until=until
            )
            self.assertEqual((code, row["mode"], row["state"]), (200, mode, mode))
            self.assertEqual(
                (row["mode_author"], row["mode_reason"], row["mode_until"]),
                (ANA, "a new kernel", until),
            )
        _, lease = await ana.act("drydock_leases", "request", blueprints=["linux"])

        async def reasons() -> Any:
            (row,) = await self.anyone.rows(f"drydock_leases/{lease['leaseid']}")
            return row["reasons"]

        (reason,) = await wait_for(reasons)
        self.assertEqual((reason["kind"], reason["by"]), ("out-of-service", ANA))
        code, row = await ana.act("drydock_blueprints/linux", "resume", reason="it is in")
        self.assertEqual((code, row["mode"], row["state"]), (200, "enabled", "ready"))
        await self.becomes(f"drydock_leases/{lease['leaseid']}", status="active")
        events = await self.anyone.rows("drydock_blueprints/linux/drydock_events?kind=mode-changed")
        self.assertEqual(
            [(event["data"]["mode"], event["actor"]) for event in events],
            [(mode, ANA) for mode in ("paused", "draining", "disabled", "enabled")],
        )

    async def test_an_idle_resource_is_reclaimed_and_a_leased_one_only_by_force(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        idle = await self.active_lease(ana)
        (row,) = await self.anyone.rows(f"drydock_leases/{idle}")
        await ana.act(f"drydock_leases/{idle}", "release")
        await self.becomes(f"drydock_leases/{idle}", status="destroyed")
        code, resource = await ana.act(f"drydock_resources/{row['resourceid']}", "reclaim")
        self.assertEqual((code, resource["status"]), (200, "released"))
        self.assertIn(ANA, resource["reason"])
        number = await self.active_lease(ana)
        (row,) = await self.anyone.rows(f"drydock_leases/{number}")
        path = f"drydock_resources/{row['resourceid']}"
        code, message = await ana.act(path, "reclaim")
        self.assertEqual(code, 400)
        self.assertIn(f"break_leases: resource {row['resourceid']} is not idle", message)
        code, resource = await ana.act(path, "reclaim", break_leases=True, reason="it smokes")
        self.assertEqual((code, resource["status"]), (200, "broken"))
        await self.becomes(f"drydock_leases/{number}", status="destroyed")
        (event,) = await self.anyone.rows(f"{path}/drydock_events?kind=resource-broken")
        self.assertEqual((event["actor"], "it smokes" in event["sentence"]), (ANA, True))

    async def test_a_host_is_disabled_and_enabled(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        code, message = await ana.act("drydock_hosts/build1.example.org", "disable")
        self.assertEqual(code, 404, message)
        await self.service.maintenance.disable_host("build1.example.org", actor="bo")
        code, row = await ana.act("drydock_hosts/build1.example.org", "enable", reason="back")
        self.assertEqual((code, row["mode"], row["mode_author"]), (200, "enabled", ANA))
        code, row = await ana.act("drydock_hosts/build1.example.org", "disable", at_once=True)
        self.assertEqual((code, row["mode"], row["at_once"]), (200, "disabled", True))
        (event, *_) = await self.anyone.rows("drydock_events?kind=host-mode-changed&order=-eventid")
        self.assertEqual(event["actor"], ANA)

    async def test_odd_arguments_are_refused_with_the_field_and_the_remedy(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        lease = f"drydock_leases/{await self.active_lease(ana)}"
        for path, method, params, words in (
            ("drydock_leases", "request", {"requires": [1]}, "'requires'"),
            ("drydock_leases", "request", {"requires": {"os": "a\0"}}, "'requires'"),
            ("drydock_leases", "request", {"blueprints": ["lynux"]}, "there are: linux, gpu"),
            ("drydock_leases", "request", {"seconds": 0}, "'seconds'"),
            ("drydock_leases", "request", {"seconds": 1e9}, "'seconds'"),
            ("drydock_leases", "request", {"until": 5}, "until: it has passed"),
            ("drydock_leases", "request", {"priority": 2**40}, "'priority'"),
            ("drydock_leases", "request", {"prority": 1}, "write 'priority'"),
            ("drydock_leases", "request", {"type": "\ud800"}, "'type'"),
            (lease, "release", {"reason": 5}, "'reason'"),
            (lease, "release", {"reason": "x" * 1001}, "'reason'"),
            (lease, "renew", {"seconds": "long"}, "'seconds'"),
            (lease, "reclaim", {}, "there are: release, renew"),
            (lease, "\ud800", {}, "there is no action"),
            ("drydock_blueprints/linux", "pause", {"until": 1}, "until: it has passed"),
            ("drydock_blueprints/linux", "approve", {}, "there are: pause"),
            ("drydock_blueprints", "pause", {}, "only to be read"),
            ("drydock_events/1", "release", {}, "only to be read"),
        ):
            code, message = await ana.act(path, method, **params)
            self.assertEqual((path, method, params, code), (path, method, params, 400), message)
            self.assertIn(words, message)
        for path, method in (
            *(("drydock_leases/99", "release"), ("drydock_leases/99", "renew")),
            *(("drydock_resources/99", "reclaim"), ("drydock_blueprints/none", "resume")),
            (f"drydock_leases/{10**30}", "release"),
        ):
            code, message = await ana.act(path, method)
            self.assertEqual((path, code), (path, 404), message)


class MessageTests(WebTestCase):
    async def test_who_listens_hears_of_each_change(self) -> None:
        await self.start()
        listener = await self.anyone.listen("*/*/*")
        ana = await self.visitor(ANA)
        number = await self.active_lease(ana)
        lease = await listener.heard(f"drydock_leases/{number}/new")
        self.assertEqual(lease["person"], ANA)
        await listener.wait_for(
            lambda: any(
                key == f"drydock_leases/{number}/{event}" and message["status"] == "active"
                for key, message in listener.messages
                for event in ("new", "update")
            )
        )
        (row,) = await self.anyone.rows(f"drydock_leases/{number}")
        await listener.heard(f"drydock_resources/{row['resourceid']}/new")
        await ana.act("drydock_blueprints/linux", "pause", reason="x")
        await listener.wait_for(
            lambda: any(
                key == "drydock_blueprints/linux/update" and message["mode"] == "paused"
                for key, message in listener.messages
            )
        )
        requested = [
            message["leaseid"]
            for key, message in listener.messages
            if key.startswith("drydock_events/") and message["kind"] == "lease-requested"
        ]
        self.assertEqual(requested, [number])
        await self.service.maintenance.disable_host("a.b", actor="bo")
        await listener.heard("drydock_hosts/a-b/update")
        await listener.close()

    async def test_who_listens_to_one_resource_hears_of_its_leases_alone(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        number = await self.active_lease(ana)
        (row,) = await self.anyone.rows(f"drydock_leases/{number}")
        path = f"drydock_resources/{row['resourceid']}/drydock_leases"
        listener = await self.anyone.listen(f"{path}/*/*")
        await self.active_lease(ana)
        await ana.act(f"drydock_leases/{number}", "release")
        await listener.heard(f"{path}/{number}/update")
        self.assertEqual({message["leaseid"] for _, message in listener.messages}, {number})
        await listener.close()

    async def test_a_lease_that_waits_for_something_else_is_told_of(self) -> None:
        await self.start()
        ana = await self.visitor(ANA)
        await self.active_lease(ana, blueprints=["gpu"])
        listener = await self.anyone.listen("drydock_leases/*/*")
        _, lease = await ana.act("drydock_leases", "request", blueprints=["gpu"])

        def waits_for(kind: str) -> bool:
            return any(
                message["leaseid"] == lease["leaseid"]
                and [each["kind"] for each in message["reasons"]] == [kind]
                for _, message in listener.messages
            )

        await listener.wait_for(lambda: waits_for("full"))
        await ana.act("drydock_blueprints/gpu", "pause")
        await listener.wait_for(lambda: waits_for("out-of-service"))
        await listener.close()

    async def test_what_another_master_did_is_told_of_here(self) -> None:
        await self.start()
        from buildbot_drydock.people import People
        from buildbot_drydock.store.sql import SqlStore

        listener = await self.anyone.listen("drydock_leases/*/*")
        elsewhere = People(
            SqlStore(self.master.db.pool, self.master.reactor),
            self.master.reactor,
            new_nonce=lambda: "n",
            changed=lambda lease: None,
            wake=lambda: None,
        )
        lease = await elsewhere.request("zoe", seconds=60, blueprints=["linux"])
        self.master.mq.produce(("drydock", "99", "wake"), {})
        await listener.heard(f"drydock_leases/{lease.id}/new")
        await listener.close()
