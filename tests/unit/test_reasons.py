import json

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.reasons import (
    AwaitingApproval,
    BackingOff,
    Booting,
    Declined,
    DoesNotFit,
    Full,
    HeldBack,
    Misconfigured,
    NoHostInService,
    NotAuthorized,
    OutOfService,
    OverBudget,
    Parking,
    Probing,
    QuotaReached,
    Reason,
    Reclaiming,
    UnusableHost,
)
from buildbot_drydock.testing.builders import NOW

FULL = Full(blueprint="linux", limit=3, leased=12, slots=12, ending=0)
SENTENCES: list[tuple[Reason, str]] = [
    (FULL, "linux is full: 12 of 12 slots leased, limit 3"),
    (
        Full(blueprint="linux", limit=3, leased=8, slots=8, ending=1),
        "linux is full: 8 of 8 slots leased, limit 3, 1 being torn down",
    ),
    (
        Full(blueprint="lab", limit=3, leased=2, slots=2, ending=0, out_of_service=1),
        "lab is full: 2 of 2 slots leased, limit 3, 1 out of service",
    ),
    (
        Full(blueprint="linux", limit=3, leased=2, slots=3, ending=0, given_notice=2),
        "linux is full: 2 of 3 slots leased, limit 3, 2 about to be taken away",
    ),
    (
        NoHostInService(
            blueprint="lab",
            hosts=(
                UnusableHost(name="a", why="is disabled by ana (disk swap)", until=NOW + 60),
                UnusableHost(name="b", why="does not answer"),
            ),
        ),
        "lab has no host in service that would fit: "
        "a is disabled by ana (disk swap) for another 60 s; b does not answer",
    ),
    (
        NoHostInService(
            blueprint="lab",
            hosts=tuple(UnusableHost(name=f"h{n}", why="sleeps") for n in range(8)),
        ),
        "lab has no host in service that would fit: "
        "h0 sleeps; h1 sleeps; h2 sleeps; h3 sleeps; h4 sleeps; 3 others",
    ),
    (
        NotAuthorized(
            blueprint="gpu",
            subjects=("builder/tests", "project/linux", "worker/gpu-001"),
            allow=("builder/release-*", "person/ana"),
        ),
        "gpu may not be used by builder/tests or project/linux or worker/gpu-001: "
        "its configuration allows builder/release-*, person/ana",
    ),
    (
        NotAuthorized(blueprint="gpu", subjects=("person/bob",), allow=()),
        "gpu may not be used by person/bob: its configuration allows nobody",
    ),
    (
        AwaitingApproval(
            blueprint="gpu", subject="builder/tests", approvers="", authorization=None
        ),
        "gpu needs approval for builder/tests, by an administrator",
    ),
    (
        AwaitingApproval(
            blueprint="gpu",
            subject="builder/tests",
            approvers="the lab",
            authorization=3,
            requested_at=NOW - 60,
        ),
        "gpu needs approval for builder/tests, by the lab: requested 60 s ago",
    ),
    (
        Declined(
            blueprint="gpu", subject="builder/tests", by="ana", why="too dear", authorization=3
        ),
        "gpu may not be used by builder/tests, which ana declined: too dear",
    ),
    (
        Declined(blueprint="gpu", subject="builder/tests", by="ana", why="", authorization=3),
        "gpu may not be used by builder/tests, which ana declined",
    ),
    (
        OverBudget(blueprint="linux", spent=1.5, limit=2.0, price=0.75),
        "linux spends 1.5 of at most 2 an hour, and another costs 0.75",
    ),
    (
        OverBudget(blueprint="linux", spent=9.5, limit=10.0, price=0.75, period="day"),
        "linux has spent 9.5 of at most 10 in 24 hours, and another costs 0.75 an hour",
    ),
    (
        OverBudget(blueprint="linux", spent=10.0, limit=10.0, price=None, period="day"),
        "linux has spent 10 of at most 10 in 24 hours",
    ),
    (
        QuotaReached(
            quota="builder/nightly-*",
            limit=2,
            held=2,
            holders=("lease 1 of person/ana", "lease 2 of worker/w for builder/nightly-b"),
        ),
        "the quota of builder/nightly-* is 2 leases, of which 2 are held: by lease 1 of person/ana, "
        "lease 2 of worker/w for builder/nightly-b",
    ),
    (
        QuotaReached(quota="person/*", limit=2, held=0, holders=(), awaited=2),
        "the quota of person/* is 2 leases, of which 0 are held and 2 on their way",
    ),
    (
        OverBudget(blueprint="linux", spent=2.0, limit=2.0, price=None),
        "linux spends 2 of at most 2 an hour",
    ),
    (
        Booting(blueprint="linux", resource=7, since=NOW - 42, boot_timeout=900.0),
        "linux is booting resource 7: 42 s of at most 900 s",
    ),
    (
        Booting(blueprint="linux", resource=None, since=NOW + 1, boot_timeout=900.0),
        "linux is booting a new resource: 0 s of at most 900 s",
    ),
    (
        Reclaiming(blueprint="linux", resource=7),
        "linux is tearing down resource 7 to make room",
    ),
    (
        Parking(blueprint="linux", resource=7),
        "linux is parking resource 7, which can be woken then",
    ),
    (
        BackingOff(blueprint="linux", failures=2, retry_at=NOW + 24, error="throttled"),
        "linux is backing off after 2 failed launches, retry in 24 s: throttled",
    ),
    (
        Probing(blueprint="linux", failures=5, budget=5, error="bad image"),
        "linux tries one host at a time after 5 failed launches (budget 5): bad image",
    ),
    (
        Misconfigured(blueprint="linux", error="no such image", retry_at=None),
        "linux is misconfigured: no such image",
    ),
    (
        HeldBack(blueprint="linux", resource=7, faults=1, retry_at=NOW + 2, error="no disk"),
        "linux holds resource 7 back, which could not be used once, for another 2 s: no disk",
    ),
    (
        HeldBack(blueprint="linux", resource=7, faults=3, retry_at=NOW - 2, error="no disk"),
        "linux holds resource 7 back, which could not be used 3 times in a row, "
        "for another 0 s: no disk",
    ),
    (
        OutOfService(blueprint="linux", mode="paused", by="ana", until=NOW + 60, why="new image"),
        "linux is paused by ana for another 60 s: new image",
    ),
    (
        OutOfService(blueprint="linux", mode="disabled", by="", until=None, why=""),
        "linux is disabled",
    ),
    (
        DoesNotFit(blueprint="linux", label="os", wanted="bsd", offered=("debian", "fedora")),
        "linux never fits: os=bsd is required, it offers debian or fedora",
    ),
    (
        DoesNotFit(blueprint="linux", label="gpu", wanted="yes", offered=()),
        "linux never fits: gpu=yes is required, it offers nothing",
    ),
]


class TestReasons(SynchronousTestCase):
    def test_each_says_its_numbers_in_a_sentence(self) -> None:
        for reason, sentence in SENTENCES:
            self.assertEqual(reason.sentence(NOW), sentence)

    def test_every_kind_is_among_the_sentences(self) -> None:
        kinds = {cls.kind for cls in Reason.__subclasses__()}
        self.assertEqual({reason.kind for reason, _ in SENTENCES}, kinds)

    def test_data_are_the_same_numbers_with_the_kind(self) -> None:
        self.assertEqual(
            FULL.data(),
            {"kind": "full", "blueprint": "linux", "limit": 3, "leased": 12, "slots": 12}
            | {"ending": 0, "out_of_service": 0, "given_notice": 0},
        )

    def test_data_can_be_written_as_json(self) -> None:
        for reason, _ in SENTENCES:
            self.assertEqual(json.loads(json.dumps(reason.data()))["blueprint"], reason.blueprint)

    def test_a_reason_without_a_sentence_is_a_hole(self) -> None:
        self.assertRaises(NotImplementedError, Reason(blueprint="linux").sentence, NOW)
