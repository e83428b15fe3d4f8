"""The rule of who may use a blueprint."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.authorization import (
    EVERYBODY,
    Grant,
    allowed_by,
    is_restricted,
    judge,
    subjects_of,
    subjects_of_build,
)
from buildbot_drydock.model import AuthorizationStatus
from buildbot_drydock.reasons import AwaitingApproval, Declined, NotAuthorized
from buildbot_drydock.testing.builders import A_WHILE_AGO, authorization, blueprint, lease

REQUESTED, APPROVED, DECLINED = AuthorizationStatus
TESTS = ("builder/tests", "project/lab", "worker/linux-001")


def known(*rows):
    return {(row.blueprint, row.subject): row for row in rows}


class TestSubjects(SynchronousTestCase):
    def test_a_build_asks_for_its_builder_and_its_project_in_this_order(self) -> None:
        self.assertEqual(subjects_of_build("tests", "lab"), ("builder/tests", "project/lab"))
        for none in (None, ""):
            self.assertEqual(subjects_of_build("tests", none), ("builder/tests",))

    def test_a_lease_that_names_nobody_asks_for_its_owner(self) -> None:
        self.assertEqual(subjects_of(lease(owner="person/ana")), ("person/ana",))
        self.assertEqual(subjects_of(lease(subjects=TESTS)), TESTS)


class TestPatterns(SynchronousTestCase):
    def test_wildcards_stand_for_any_letters_and_all_else_for_itself(self) -> None:
        for pattern, subject, matches in (
            ("builder/tests", "builder/tests", True),
            ("builder/tests", "builder/tests2", False),
            ("builder/tests", "xbuilder/tests", False),
            ("builder/Tests", "builder/tests", False),
            ("builder/release-*", "builder/release-", True),
            ("builder/release-*", "builder/release-1/x", True),
            ("builder/release-*", "person/builder/release-1", False),
            ("person/*@example.org", "person/ana@example.org", True),
            ("person/*@example.org", "person/ana@example.org.evil", False),
            ("person/*@example.org", "person/ana@example.org\n", False),
            ("builder/v?", "builder/v1", True),
            ("builder/v?", "builder/v10", False),
            ("builder/a.c", "builder/abc", False),
            ("*", "person/ana", True),
            ("", "person/ana", False),
        ):
            found = allowed_by([pattern], [subject])
            self.assertEqual(found, pattern if matches else None, (pattern, subject))

    def test_the_first_pattern_that_names_any_subject_counts(self) -> None:
        self.assertEqual(allowed_by(("person/*", "project/*", "builder/*"), TESTS), "project/*")
        self.assertIsNone(allowed_by((), TESTS))


class TestJudging(SynchronousTestCase):
    def test_a_blueprint_without_rules_is_for_everybody_whatever_was_decided_once(self) -> None:
        declined = known(authorization("builder/tests", DECLINED))
        self.assertFalse(is_restricted(blueprint()))
        self.assertEqual(judge(blueprint(), TESTS, declined), EVERYBODY)
        self.assertEqual(EVERYBODY.by, "")

    def test_whoever_the_list_names_may_use_it_and_nobody_else(self) -> None:
        listed = blueprint(allow=("project/lab",))
        self.assertTrue(is_restricted(listed))
        self.assertEqual(judge(listed, TESTS, {}), Grant("project/lab on the allow list"))
        expected = NotAuthorized(
            blueprint="linux", subjects=("person/bob",), allow=("project/lab",)
        )
        self.assertEqual(judge(listed, ("person/bob",), {}), expected)

    def test_a_list_of_nobody_allows_nobody(self) -> None:
        nobody = blueprint(allow=())
        self.assertTrue(is_restricted(nobody))
        self.assertIsInstance(judge(nobody, TESTS, {}), NotAuthorized)

    def test_decisions_of_a_blueprint_that_needs_no_approval_do_not_count(self) -> None:
        rows = known(authorization("builder/tests", APPROVED))
        self.assertIsInstance(judge(blueprint(allow=()), TESTS, rows), NotAuthorized)
        rows = known(authorization("builder/tests", DECLINED))
        self.assertIsInstance(judge(blueprint(allow=("*",)), TESTS, rows), Grant)

    def test_whoever_the_list_names_needs_no_approval(self) -> None:
        both = blueprint(allow=("builder/*",), needs_approval=True)
        self.assertEqual(judge(both, TESTS, {}), Grant("builder/* on the allow list"))

    def test_others_await_approval_of_what_is_most_specific(self) -> None:
        lab = blueprint(needs_approval=True, approvers="the lab")
        expected = AwaitingApproval(
            blueprint="linux", subject="builder/tests", approvers="the lab", authorization=None
        )
        self.assertTrue(is_restricted(lab))
        self.assertEqual(judge(lab, TESTS, {}), expected)
        found = judge(lab, TESTS, known(authorization("builder/tests", REQUESTED, id=7)))
        assert isinstance(found, AwaitingApproval)
        self.assertEqual((found.authorization, found.requested_at), (7, A_WHILE_AGO))

    def test_an_approval_of_any_subject_will_do(self) -> None:
        lab = blueprint(needs_approval=True)
        for subject in TESTS:
            found = judge(lab, TESTS, known(authorization(subject, APPROVED)))
            self.assertEqual(found, Grant(f"approval of {subject} by ana"))

    def test_the_decision_about_the_most_specific_subject_counts(self) -> None:
        lab = blueprint(needs_approval=True)
        builder, project = (
            authorization("builder/tests", DECLINED, id=3, reason="too dear"),
            authorization("project/lab", APPROVED),
        )
        declined = Declined(
            blueprint="linux", subject="builder/tests", by="ana", why="too dear", authorization=3
        )
        self.assertEqual(judge(lab, TESTS, known(builder, project)), declined)
        builder, project = (
            authorization("builder/tests", APPROVED),
            authorization("project/lab", DECLINED),
        )
        self.assertIsInstance(judge(lab, TESTS, known(builder, project)), Grant)

    def test_a_request_decides_nothing(self) -> None:
        rows = known(
            authorization("builder/tests", REQUESTED), authorization("project/lab", APPROVED)
        )
        self.assertIsInstance(judge(blueprint(needs_approval=True), TESTS, rows), Grant)

    def test_a_decline_counts_more_than_the_list(self) -> None:
        both = blueprint(allow=("*",), needs_approval=True)
        rows = known(authorization("project/lab", DECLINED))
        self.assertIsInstance(judge(both, TESTS, rows), Declined)
        self.assertIsInstance(judge(both, ("person/ana",), rows), Grant)

    def test_what_was_decided_about_another_blueprint_or_subject_does_not_count(self) -> None:
        lab = blueprint(needs_approval=True)
        for other in (
            authorization("builder/tests", APPROVED, "gpu"),
            authorization("builder/test", APPROVED),
            authorization("builder/*", APPROVED),
        ):
            self.assertIsInstance(judge(lab, TESTS, known(other)), AwaitingApproval)

    @given(
        allow=st.none() | st.lists(st.sampled_from(["*", "builder/*", "person/ana"])).map(tuple),
        needs_approval=st.booleans(),
        decided=st.dictionaries(st.sampled_from(TESTS), st.sampled_from(AuthorizationStatus)),
    )
    def test_more_approvals_never_take_anything_away(self, allow, needs_approval, decided) -> None:
        one = blueprint(allow=allow, needs_approval=needs_approval)
        before = judge(one, TESTS, known(*(authorization(s, d) for s, d in decided.items())))
        more = {subject: APPROVED for subject in decided}
        after = judge(one, TESTS, known(*(authorization(s, d) for s, d in more.items())))
        self.assertTrue(isinstance(after, Grant) or not isinstance(before, Grant))
