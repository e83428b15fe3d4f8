"""Builds of builders that may not use everything, on one master."""

from __future__ import annotations

from typing import Any

from buildbot.interfaces import LatentWorkerCannotSubstantiate
from buildbot.plugins import util
from buildbot.process.results import EXCEPTION, SUCCESS

from buildbot_drydock.model import AuthorizationStatus, LeaseStatus
from buildbot_drydock.reasons import AwaitingApproval
from tests.integration.masters import DrydockMasterTestCase

APPROVED, DECLINED = AuthorizationStatus.APPROVED, AuthorizationStatus.DECLINED


class Case(DrydockMasterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.builders = ["tests", "docs"]
        self.projects: dict[str, str] = {}

    def configuration(self) -> dict[str, Any]:
        config = super().configuration()
        config["projects"] = [util.Project(name=name) for name in set(self.projects.values())]
        for builder in config["builders"]:
            builder.project = self.projects.get(builder.name)
        return config

    async def decide(self, subject: str, status: AuthorizationStatus, reason: str = "") -> None:
        await self.service.approvals.decide("linux", subject, status, actor="ana", reason=reason)
        await self.settle()

    async def log_in_leased(self) -> None:
        (lease,) = await self.leases()
        await self.log_in(lease.owner.removeprefix("worker/"))

    async def build(self, builder: str = "tests") -> None:
        """Let a build begin and end."""
        await self.request_build(builder)
        await self.log_in_leased()
        self.assertTrue(self.step.running)
        await self.finish(SUCCESS)


class ListTests(Case):
    async def test_a_builder_that_is_not_allowed_is_offered_nothing(self) -> None:
        self.blueprint["allow"] = ["builder/tests"]
        await self.start()
        await self.request_build("docs")
        self.assertEqual((await self.leases(), await self.results()), ([], []))
        await self.request_build("tests")
        (lease,) = await self.leases()
        self.assertEqual(lease.subjects, ("builder/tests",))
        self.assertEqual(lease.authorized_by, "builder/tests on the allow list")
        await self.log_in_leased()
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS])
        await self.stop()

    async def test_a_worker_of_builders_that_may_not_use_anything_is_not_offered(self) -> None:
        self.blueprint["allow"] = ["person/*"]
        await self.start()
        self.assertFalse(self.worker().canStartBuild())
        await self.stop()

    async def test_a_builder_does_not_build_on_what_another_one_was_given(self) -> None:
        self.blueprint["allow"] = ["builder/tests"]
        await self.start()
        await self.build("tests")
        await self.request_build("docs")
        self.assertEqual(await self.results(), [SUCCESS])
        self.assertTrue(self.worker().canStartBuild(), "it is warm")
        self.blueprint["allow"] = ["builder/*"]
        await self.reconfigure()
        self.assertTrue(self.step.running, "it was woken")
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_who_may_use_it_does_not_wait_for_who_may_not(self) -> None:
        self.blueprint |= {"allow": ["builder/tests"], "limit": 1}
        self.pool["size"] = 2
        await self.start()
        await self.request_build("docs")
        await self.request_build("tests")
        (lease,) = await self.leases()
        self.assertEqual(lease.attributes["builder"], "tests")
        await self.log_in_leased()
        await self.finish(SUCCESS)
        await self.stop()

    async def test_a_project_may_be_allowed_with_all_its_builders(self) -> None:
        self.projects = {"docs": "lab"}
        self.blueprint["allow"] = ["project/lab"]
        await self.start()
        await self.request_build("tests")
        self.assertEqual(await self.leases(), [])
        await self.request_build("docs")
        (lease,) = await self.leases()
        self.assertEqual(lease.subjects, ("builder/docs", "project/lab"))
        self.assertEqual(lease.authorized_by, "project/lab on the allow list")
        await self.log_in_leased()
        await self.finish(SUCCESS)
        await self.stop()


class ApprovalTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.blueprint["needs_approval"] = True
        self.pool["size"] = 3

    async def test_one_lease_of_a_builder_waits_for_approval_and_says_so(self) -> None:
        await self.start()
        for _ in range(2):
            await self.request_build("tests")
        (lease,) = await self.leases()
        (reason,) = self.service.leases.reasons(lease.id)
        assert isinstance(reason, AwaitingApproval)
        self.assertEqual((reason.subject, lease.status), ("builder/tests", LeaseStatus.PENDING))
        known = (await self.service.store.rows(authorizations_of=["linux"])).authorizations
        self.assertEqual(list(known), [("linux", "builder/tests")])
        await self.decide("builder/tests", APPROVED)
        await self.advance(1)
        self.assertEqual((await self.lease(lease.id)).status, LeaseStatus.ACTIVE)
        await self.log_in_leased()
        await self.finish(SUCCESS)
        await self.settle()
        self.assertTrue(self.step.running, "the second one follows")
        await self.finish(SUCCESS)
        self.assertEqual(await self.results(), [SUCCESS, SUCCESS])
        await self.stop()

    async def test_each_builder_waits_for_its_own_and_holds_up_no_other(self) -> None:
        await self.start()
        await self.decide("builder/docs", APPROVED)
        await self.request_build("tests")
        await self.request_build("docs")
        leases = {lease.attributes["builder"]: lease for lease in await self.leases()}
        self.assertEqual(leases["tests"].status, LeaseStatus.PENDING)
        self.assertEqual(leases["docs"].status, LeaseStatus.ACTIVE)
        await self.log_in(leases["docs"].owner.removeprefix("worker/"))
        await self.finish(SUCCESS)
        await self.stop_build()
        await self.stop()

    async def test_a_build_whose_builder_was_declined_fails_and_says_why(self) -> None:
        await self.start()
        await self.decide("builder/tests", DECLINED, "too dear")
        request = await self.request_build("tests")
        await self.advance(1)
        self.assertTrue(await self.is_complete(request))
        self.assertEqual(await self.results(), [EXCEPTION])
        self.assertIn("which ana declined: too dear", await self.texts())
        self.flushLoggedErrors(LatentWorkerCannotSubstantiate)
        await self.stop()

    async def test_a_build_that_waits_fails_once_it_is_declined(self) -> None:
        await self.start()
        request = await self.request_build("tests")
        await self.decide("builder/tests", DECLINED, "too dear")
        await self.advance(1)
        self.assertTrue(await self.is_complete(request))
        self.assertIn("which ana declined: too dear", await self.texts())
        self.flushLoggedErrors(LatentWorkerCannotSubstantiate)
        await self.stop()

    async def test_a_withdrawn_approval_leaves_the_build_alone_and_ends_the_next_one(self) -> None:
        await self.start()
        await self.decide("builder/tests", APPROVED)
        await self.request_build("tests")
        (lease,) = await self.leases()
        await self.log_in_leased()
        await self.decide("builder/tests", DECLINED, "enough")
        self.assertTrue(self.step.running)
        await self.finish(SUCCESS)
        self.assertEqual((await self.lease(lease.id)).status, LeaseStatus.ACTIVE, "it is warm")
        await self.request_build("tests")
        await self.advance(1)
        self.assertEqual(await self.results(), [SUCCESS, EXCEPTION])
        self.flushLoggedErrors(LatentWorkerCannotSubstantiate)
        await self.stop()
