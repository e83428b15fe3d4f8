import json

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import events
from buildbot_drydock.events import DRYDOCK, KINDS, Event, restore

SENTENCES: list[tuple[Event, str]] = [
    (events.ResourceRequested(built_for=3), "A resource was requested for lease 3."),
    (events.ResourceRequested(built_for=None), "A resource was requested to keep one warm."),
    (
        events.ResourceReady(address="10.0.0.1", seconds=2.25),
        "The host answers at 10.0.0.1, 2.2 s after it was requested.",
    ),
    (
        events.ResourceReady(address="", seconds=1.0),
        "The host answers, 1.0 s after it was requested.",
    ),
    (events.ResourceReleased(reason="idle"), "The resource was released: idle."),
    (events.ResourceBroken(reason="its host has gone"), "The resource broke: its host has gone."),
    (
        events.ResourceFaulty(reason="no disk", faults=1),
        "A lease could not use the resource: no disk.",
    ),
    (
        events.ResourceFaulty(reason="no disk", faults=4),
        "A lease could not use the resource, the 4th in a row: no disk.",
    ),
    (
        events.ResourceTrusted(faults=2),
        "A lease could use the resource, after 2 that could not.",
    ),
    (
        events.ResourceGivenNotice(reason="interrupted", ends_at=218.4, seconds=118.4),
        "The host will end in 118 s: interrupted.",
    ),
    (
        events.ResourceGivenNotice(reason="interrupted", ends_at=90.0, seconds=-10.0),
        "The host will end in 0 s: interrupted.",
    ),
    (
        events.ResourceGivenNotice(reason="it is about to be", ends_at=None, seconds=None),
        "The host will end soon: it is about to be.",
    ),
    (
        events.ResourceGivenNotice(
            reason="interrupted", ends_at=218.4, seconds=118.4, host="i-1", hourly_price=0.0312
        ),
        "The host i-1, at 0.0312 an hour, will end in 118 s: interrupted.",
    ),
    (
        events.ResourceReady(address="10.0.0.1", seconds=2.25, hourly_price=0.0416),
        "The host answers at 10.0.0.1, 2.2 s after it was requested. It costs 0.0416 an hour.",
    ),
    (
        events.ResourcePriced(hourly_price=0.5, before=None),
        "The resource costs 0.5 an hour.",
    ),
    (
        events.ResourcePriced(hourly_price=0.5, before=0.25),
        "The resource costs 0.5 an hour, and no longer 0.25.",
    ),
    (
        events.ResourceDestroyed(cost=1.5),
        "The provider has nothing left of the resource. It cost 1.5 in all.",
    ),
    (
        events.LeaseDestroyed(cost=0.03125),
        "Nothing of the lease is left on its slot. It cost 0.0312.",
    ),
    (events.ResourceDestroyed(), "The provider has nothing left of the resource."),
    (
        events.AuthorizationRequested(subject="builder/tests"),
        "builder/tests needs approval to use the blueprint.",
    ),
    (
        events.AuthorizationDecided(
            actor="ana", subject="builder/tests", status="approved", before="requested", reason=""
        ),
        "ana approved the use of the blueprint by builder/tests.",
    ),
    (
        events.AuthorizationDecided(
            actor="ana", subject="person/bob", status="declined", before="", reason="too dear"
        ),
        "ana declined the use of the blueprint by person/bob: too dear.",
    ),
    (
        events.LeaseRequested(owner="worker/a", requires={"os": "bsd", "cpu": "arm"}),
        "worker/a asked for a lease with cpu=arm, os=bsd.",
    ),
    (events.LeaseRequested(owner="worker/a", requires={}), "worker/a asked for a lease."),
    (events.LeaseAcquired(slot=2, waited=1.5), "The lease got slot 2 after 1.50 s."),
    (events.LeaseActivated(), "What the lease needed is prepared; it is active."),
    (events.LeaseReturned(reason="lost"), "The lease went back to the pool: lost."),
    (events.LeaseReleased(reason="done"), "The lease was released: done."),
    (
        events.LeaseRenewed(actor="ana", expires_at=700.0, seconds=600.0),
        "ana renewed the lease for 600 s.",
    ),
    (events.LeaseBroken(reason="lost"), "The lease broke: lost."),
    (events.LeaseDestroyed(), "Nothing of the lease is left on its slot."),
    (
        events.LaunchFailed(error="throttled", failures=2, retry_at=9.0, budget_spent=False),
        "A launch failed (2 in a row): throttled.",
    ),
    (
        events.LaunchFailed(error="bad image", failures=5, retry_at=9.0, budget_spent=True),
        "A launch failed (5 in a row): bad image. The failure budget is spent: "
        "from now on one host at a time is tried.",
    ),
    (
        events.BlueprintMisconfigured(error="no such image"),
        "No launch can succeed as configured: no such image.",
    ),
    (events.LaunchesRecovered(failures=3), "A launch succeeded after 3 failed ones."),
    (
        events.ModeChanged(actor="ana", mode="paused", reason="new image", until=None),
        "ana made the blueprint paused: new image.",
    ),
    (
        events.ModeChanged(actor="ana", mode="enabled", reason="", until=None),
        "ana made the blueprint enabled.",
    ),
    (
        events.BlueprintEdited(
            actor="ana",
            before={"idle_timeout": 60.0, "limit": 6},
            after={"idle_timeout": None, "limit": 4},
            reset=["limit"],
            reason="a busy week",
        ),
        "ana changed idle_timeout from 60.0 to None, limit from 6 to 4 as configured: a busy week.",
    ),
    (
        events.StrayDestroyed(token="t-1", identity="i-1", reason="it is a twin"),
        "The host t-1 (i-1) is being destroyed: it is a twin.",
    ),
    (
        events.StrayDestroyed(token="t-1", identity="", reason="nobody's"),
        "The host t-1 is being destroyed: nobody's.",
    ),
    (
        events.CallFailed(verb="destroy", error="throttled", failures=1),
        "The provider failed to destroy: throttled.",
    ),
    (
        events.CallFailed(verb="destroy", error="throttled", failures=4),
        "The provider failed to destroy for the 4th time in a row: throttled.",
    ),
    (
        events.HostModeChanged(
            actor="ana",
            host="build1",
            mode="disabled",
            reason="disk swap",
            until=9.0,
            at_once=True,
        ),
        "ana made host build1 disabled, and ended its leases: disk swap.",
    ),
    (
        events.HostModeChanged(
            actor="ana", host="build1", mode="enabled", reason="", until=None, at_once=False
        ),
        "ana made host build1 enabled.",
    ),
    (
        events.HostLost(
            host="build1", phase="logging in", reason="it refuses ci", remedy="mend user"
        ),
        "Host build1 failed while logging in: it refuses ci. Remedy: mend user.",
    ),
    (
        events.HostLost(host="build1", phase="", reason="it was restarted", remedy=""),
        "Host build1 failed: it was restarted.",
    ),
    (
        events.HostReturned(host="build1", seconds=61.4),
        "Host build1 is back in service after 61 s.",
    ),
    (
        events.ResourcePowerChanged(power="parking", reason="it was idle for 600 s"),
        "The host is being parked: it was idle for 600 s.",
    ),
    (
        events.ResourcePowerChanged(power="parked", reason="it has stopped", seconds=31.25),
        "The host is parked, 31.2 s after it was to be: it has stopped.",
    ),
    (
        events.ResourcePowerChanged(power="waking", reason="lease 7 needs it"),
        "The host is being woken: lease 7 needs it.",
    ),
    (
        events.ResourcePowerChanged(power="running", reason="its host answers", seconds=20.0),
        "The host runs again, 20.0 s after it was to be: its host answers.",
    ),
    (
        events.HostWarned(host="build1", reason="its clock is 900 s behind", remedy="set it"),
        "Host build1: its clock is 900 s behind. Remedy: set it.",
    ),
    (
        events.HostListBroken(path="hosts.yaml", error="line 3: no address"),
        "The list of hosts in hosts.yaml cannot be used, the last good one is: line 3: no address.",
    ),
    (
        events.HostListRead(path="hosts.yaml", added=["a", "b"], removed=["c"], changed=[]),
        "The list of hosts in hosts.yaml was read: added a, b; removed c.",
    ),
    (
        events.HostListRead(path="hosts.yaml", added=[], removed=[], changed=[]),
        "The list of hosts in hosts.yaml was read: as before.",
    ),
]


class TestEvents(SynchronousTestCase):
    def test_each_says_what_happened_in_a_sentence(self) -> None:
        for event, sentence in SENTENCES:
            self.assertEqual(event.sentence(), sentence)

    def test_every_kind_is_among_the_sentences_and_can_be_restored(self) -> None:
        kinds = {cls.kind: cls for cls in Event.__subclasses__()}
        self.assertEqual(KINDS, kinds)
        self.assertEqual({event.kind for event, _ in SENTENCES}, set(kinds))

    def test_each_survives_being_written_as_json(self) -> None:
        for event, _ in SENTENCES:
            data = json.loads(json.dumps(event.data()))
            self.assertEqual(restore(event.kind, event.actor, data), event)

    def test_the_actor_is_apart_from_the_data(self) -> None:
        event = events.LeaseReleased(actor="ana", reason="done")
        self.assertEqual(event.data(), {"reason": "done"})
        self.assertEqual(events.LeaseReleased(reason="done").actor, DRYDOCK)

    def test_what_an_earlier_version_did_not_tell_is_left_out(self) -> None:
        self.assertEqual(restore("lease-destroyed", DRYDOCK, {}), events.LeaseDestroyed())
        ready = {"address": "10.0.0.1", "seconds": 2.0}
        self.assertEqual(restore("resource-ready", DRYDOCK, ready), events.ResourceReady(**ready))

    def test_an_unknown_kind_is_named(self) -> None:
        error = self.assertRaises(ValueError, restore, "lease-sold", DRYDOCK, {})
        self.assertIn("'lease-sold'", str(error))

    def test_a_missing_or_an_unknown_field_is_named(self) -> None:
        missing = self.assertRaises(ValueError, restore, "lease-released", DRYDOCK, {})
        self.assertIn("'reason'", str(missing))
        odd = self.assertRaises(
            ValueError, restore, "lease-released", DRYDOCK, {"reason": "done", "price": 3}
        )
        self.assertIn("'price'", str(odd))
