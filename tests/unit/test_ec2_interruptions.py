"""What EC2 says of the end of spot instances, and spot prices."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.latent.ec2.interruptions import (
    INTERRUPTION,
    NOTICE_SECONDS,
    REBALANCE,
    Notice,
    Notices,
    of_message,
    of_requests,
    request_for_notices,
)
from buildbot_drydock.latent.ec2.prices import history, price_at
from buildbot_drydock.latent.ec2.requests import Pool

AT = 1_800_000_000.0
WARNED = Notice(instance="i-1", at=AT, ends_at=AT + NOTICE_SECONDS, reason=INTERRUPTION)
AT_RISK = Notice(instance="i-1", at=AT, ends_at=None, reason=REBALANCE)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def spot_request(code: str, number: str | None = "i-1") -> dict[str, Any]:
    status = {"Code": code, "UpdateTime": moment(AT)}
    return {"InstanceId": number, "Status": status}


def message(kind: str, **changes: Any) -> str:
    event = {
        "detail-type": kind,
        "time": moment(AT).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": {"instance-id": "i-1", "instance-action": "terminate"},
    }
    return json.dumps({**event, **changes})


class TestRequests(SynchronousTestCase):
    def told(self, *requests: dict[str, Any]) -> list[Notice]:
        return list(of_requests([{"SpotInstanceRequests": list(requests)}]))

    def test_one_that_is_marked_ends_two_minutes_after_it_was(self) -> None:
        for code in ("marked-for-termination", "marked-for-stop"):
            self.assertEqual(self.told(spot_request(code)), [WARNED])

    def test_one_that_was_taken_has_ended(self) -> None:
        for code in ("instance-terminated-by-price", "instance-stopped-no-capacity"):
            (notice,) = self.told(spot_request(code))
            self.assertEqual(notice.ends_at, AT)
            self.assertIn("without notice", notice.reason)

    def test_the_user_s_own_end_and_what_just_runs_is_none(self) -> None:
        for code in ("fulfilled", "instance-terminated-by-user", "instance-terminated-by-schedule"):
            self.assertEqual(self.told(spot_request(code)), [])
        self.assertEqual(self.told(spot_request("marked-for-stop", None), {}), [])

    def test_only_those_of_the_pool_that_are_interrupted_are_listed(self) -> None:
        pool = Pool(installation="ours", blueprint="cloud")
        filters = {f["Name"]: f["Values"] for f in request_for_notices(pool)["Filters"]}
        self.assertEqual(filters["tag:drydock:blueprint"], ["cloud"])
        self.assertEqual(filters["tag:drydock:installation"], ["ours"])
        self.assertIn("marked-for-termination", filters["status-code"])
        self.assertNotIn("fulfilled", filters["status-code"])
        self.assertNotIn("instance-terminated-by-user", filters["status-code"])


class TestMessages(SynchronousTestCase):
    def test_a_warning_and_a_recommendation(self) -> None:
        self.assertEqual(of_message(message("EC2 Spot Instance Interruption Warning")), WARNED)
        self.assertEqual(of_message(message("EC2 Instance Rebalance Recommendation")), AT_RISK)

    def test_anything_else_is_none(self) -> None:
        kind = "EC2 Spot Instance Interruption Warning"
        for body in (
            *("", "hello", "[]", "3", "null", "{}"),
            message("EC2 Instance State-change Notification"),
            *(message(kind, time=value) for value in ("yesterday", None, 3)),
            *(message(kind, detail=value) for value in ({}, None, "i-1")),
        ):
            self.assertIsNone(of_message(body), body)

    @given(st.recursive(st.none() | st.text(), lambda x: st.dictionaries(st.text(), x)))
    def test_no_message_whatever_raises(self, content: Any) -> None:
        self.assertIsNone(of_message(json.dumps(content)))


class TestNotices(SynchronousTestCase):
    def test_the_first_word_of_an_end_counts(self) -> None:
        notices = Notices(heeds_rebalance=False)
        self.assertTrue(notices.hear(WARNED))
        later = Notice(instance="i-1", at=AT + 5, ends_at=AT + 125, reason="x")
        self.assertFalse(notices.hear(later))
        self.assertEqual(notices.of("i-1"), WARNED)

    def test_another_end_counts_if_it_comes_well_before(self) -> None:
        retired = Notice(instance="i-1", at=AT, ends_at=AT + 3600, reason="retirement")
        for left in (3600.0, 3600 - NOTICE_SECONDS, 7200.0):
            notices = Notices(heeds_rebalance=True)
            notices.hear(retired)
            other = Notice(instance="i-1", at=AT, ends_at=AT + left, reason="x")
            self.assertFalse(notices.hear(other))
            self.assertFalse(notices.hear(AT_RISK))
            self.assertEqual(notices.of("i-1"), retired)
            self.assertTrue(notices.hear(WARNED))
            self.assertFalse(notices.hear(retired))
            self.assertEqual(notices.of("i-1"), WARNED)

    def test_a_recommendation_counts_by_choice_and_until_there_is_an_end(self) -> None:
        ignoring, heeding = Notices(heeds_rebalance=False), Notices(heeds_rebalance=True)
        self.assertFalse(ignoring.hear(AT_RISK))
        self.assertIsNone(ignoring.of("i-1"))
        self.assertTrue(heeding.hear(AT_RISK))
        self.assertFalse(heeding.hear(AT_RISK))
        self.assertTrue(heeding.hear(WARNED))
        self.assertFalse(heeding.hear(AT_RISK))
        self.assertEqual(heeding.of("i-1"), WARNED)

    def test_those_of_what_has_gone_are_forgotten(self) -> None:
        notices = Notices(heeds_rebalance=False)
        notices.hear(WARNED)
        notices.forget_all_but(["i-2"])
        self.assertIsNone(notices.of("i-1"))


class TestPrices(SynchronousTestCase):
    def test_a_history_is_by_type_and_zone_and_in_order(self) -> None:
        def entry(zone: str, at: float, price: str) -> dict[str, Any]:
            return {
                "InstanceType": "m7i.large",
                "AvailabilityZone": zone,
                "Timestamp": moment(at),
                "SpotPrice": price,
            }

        pages = [
            {"SpotPriceHistory": [entry("a", AT + 60, "0.03"), entry("b", AT, "0.05")]},
            {"SpotPriceHistory": [entry("a", AT, "0.02")]},
            {},
        ]
        self.assertEqual(
            history(pages),
            {
                ("m7i.large", "a"): [(AT, 0.02), (AT + 60, 0.03)],
                ("m7i.large", "b"): [(AT, 0.05)],
            },
        )

    def test_the_price_that_held_is_the_last_before(self) -> None:
        changes = [(AT, 0.02), (AT + 60, 0.03)]
        for at, price in ((AT - 5, 0.02), (AT, 0.02), (AT + 59, 0.02), (AT + 60, 0.03)):
            self.assertEqual(price_at(changes, at), price)
        self.assertIsNone(price_at([], AT))
