"""What the errors of AWS mean, and how calls are made."""

from __future__ import annotations

from botocore import exceptions
from botocore.parsers import ResponseParserError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.errors import DrydockError, Misconfigured, NoCapacity, RetryLater
from buildbot_drydock.latent.ec2.account import Credentials, Pace, _method, shared_pace
from buildbot_drydock.latent.ec2.causes import Call, CallFailed, Cause
from buildbot_drydock.latent.ec2.failures import translated
from buildbot_drydock.latent.ec2.fields import ImageFields
from buildbot_drydock.latent.ec2.images import newest
from buildbot_drydock.latent.ec2.provider import console_tail, impaired

CALL = Call(operation="RunInstances", region="eu-central-1", about="m7i.large (spot)")

MEANINGS: tuple[tuple[str, int, Cause, type[DrydockError]], ...] = (
    ("RequestLimitExceeded", 503, Cause.THROTTLED, RetryLater),
    ("Throttling", 400, Cause.THROTTLED, RetryLater),
    ("InsufficientInstanceCapacity", 500, Cause.CAPACITY, NoCapacity),
    ("Server.InsufficientInstanceCapacity", 500, Cause.CAPACITY, NoCapacity),
    ("InsufficientFreeAddressesInSubnet", 400, Cause.CAPACITY, NoCapacity),
    ("SpotMaxPriceTooLow", 400, Cause.CAPACITY, NoCapacity),
    ("Unsupported", 400, Cause.CAPACITY, NoCapacity),
    ("VcpuLimitExceeded", 400, Cause.QUOTA, NoCapacity),
    ("MaxSpotInstanceCountExceeded", 400, Cause.QUOTA, NoCapacity),
    ("IdempotentParameterMismatch", 400, Cause.MISMATCH, NoCapacity),
    ("IdempotentInstanceTerminated", 400, Cause.ENDED, NoCapacity),
    ("InvalidInstanceID.NotFound", 400, Cause.ABSENT, RetryLater),
    ("ExpiredToken", 400, Cause.CREDENTIALS, Misconfigured),
    ("RequestExpired", 400, Cause.CREDENTIALS, Misconfigured),
    ("AuthFailure", 401, Cause.CREDENTIALS, Misconfigured),
    ("InvalidAMIID.NotFound", 400, Cause.WRONG, Misconfigured),
    ("InvalidSubnetID.NotFound", 400, Cause.WRONG, Misconfigured),
    ("OperationNotPermitted", 400, Cause.WRONG, Misconfigured),
    ("OptInRequired", 401, Cause.WRONG, Misconfigured),
    ("NobodyKnowsThis", 400, Cause.WRONG, Misconfigured),
    ("InternalError", 500, Cause.UNWELL, RetryLater),
    ("NobodyKnowsThis", 500, Cause.UNWELL, RetryLater),
    ("", 502, Cause.UNWELL, RetryLater),
)


def client_error(code: str, status: int, message: str = "Said so.") -> exceptions.ClientError:
    return exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        "RunInstances",
    )


class TestMeanings(SynchronousTestCase):
    def test_what_ec2_says(self) -> None:
        for code, status, cause, kind in MEANINGS:
            failed = translated(client_error(code, status), CALL)
            self.assertEqual((failed.cause, type(failed.error)), (cause, kind), code)
            text = str(failed)
            self.assertIn("RunInstances for m7i.large (spot) in eu-central-1", text)
            self.assertIn("Said so", text)
            if kind is Misconfigured:
                self.assertRegex(text, r"\. Remedy: \w+")

    def test_what_is_said_by_nobody(self) -> None:
        for error, cause in (
            (exceptions.NoCredentialsError(), Cause.CREDENTIALS),
            (exceptions.ProfileNotFound(profile="x"), Cause.CREDENTIALS),
            (exceptions.CredentialRetrievalError(provider="x", error_msg="y"), Cause.CREDENTIALS),
            (exceptions.ParamValidationError(report="x"), Cause.WRONG),
            (exceptions.ReadTimeoutError(endpoint_url="x"), Cause.UNWELL),
            (exceptions.ConnectTimeoutError(endpoint_url="x"), Cause.UNWELL),
            (exceptions.EndpointConnectionError(endpoint_url="x"), Cause.UNWELL),
            (exceptions.ConnectionClosedError(endpoint_url="x"), Cause.UNWELL),
            (exceptions.SSLError(endpoint_url="x", error="y"), Cause.UNWELL),
            (ResponseParserError("x"), Cause.UNWELL),
        ):
            self.assertIs(translated(error, CALL).cause, cause, error)

    def test_a_bug_of_ours_stays_one(self) -> None:
        self.assertRaises(KeyError, translated, KeyError("x"), CALL)

    def test_only_what_is_unwell_is_unknown(self) -> None:
        for code, status, cause, _ in MEANINGS:
            self.assertIs(
                translated(client_error(code, status), CALL).is_unknown, cause is Cause.UNWELL
            )

    def test_the_action_that_is_not_allowed_is_named(self) -> None:
        message = (
            "You are not authorized to perform this operation. User: arn:aws:iam::1:user/ci is not "
            "authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/x because no "
            "identity-based policy allows it. Encoded authorization failure message: A1b2"
        )
        text = str(translated(client_error("UnauthorizedOperation", 403, message), CALL))
        self.assertIn("may not do iam:PassRole on arn:aws:iam::1:role/x", text)
        self.assertNotIn("A1b2", text)
        text = str(translated(client_error("UnauthorizedOperation", 403, "No."), CALL))
        self.assertIn("allow them ec2:RunInstances in IAM", text)

    def test_a_parameter_that_only_the_message_names_has_its_remedy(self) -> None:
        message = "Value (x) for parameter iamInstanceProfile.name is invalid."
        text = str(translated(client_error("InvalidParameterValue", 400, message), CALL))
        self.assertIn("Remedy: give instance_profile", text)


class TestPace(SynchronousTestCase):
    def setUp(self) -> None:
        self.pace = Pace()

    def waits(self, now: float) -> float:
        try:
            self.pace.require(now, CALL)
        except CallFailed as failed:
            return getattr(failed.error, "after", -1.0)
        return 0.0

    def test_nothing_waits_at_first(self) -> None:
        self.assertEqual(self.waits(0.0), 0.0)

    def test_each_time_all_wait_for_longer_up_to_a_limit(self) -> None:
        now, found = 0.0, []
        for _ in range(10):
            found.append(self.pace.throttled(now, 1.0))
            self.assertEqual(self.waits(now), found[-1])
            now += found[-1]
            self.assertEqual(self.waits(now), 0.0)
        self.assertEqual(found[:4], [2.0, 4.0, 8.0, 16.0])
        self.assertEqual(found[-1], 120.0)

    def test_many_at_once_count_once(self) -> None:
        for _ in range(5):
            self.pace.throttled(0.0, 1.0)
        self.assertEqual(self.waits(0.0), 2.0)

    def test_a_success_that_was_under_way_does_not_end_it_and_a_later_one_does(self) -> None:
        self.pace.throttled(0.0, 1.0)
        self.pace.succeeded(1.0)
        self.assertEqual(self.waits(1.0), 1.0)
        self.assertEqual(self.pace.throttled(2.0, 1.0), 4.0)
        self.pace.succeeded(6.0)
        self.assertEqual(self.pace.throttled(6.0, 1.0), 2.0)

    def test_the_random_part_halves_a_wait_at_most(self) -> None:
        self.assertEqual(self.pace.throttled(0.0, 0.0), 1.0)

    def test_it_is_shared_by_an_account_in_a_region(self) -> None:
        clock = Clock()
        one = shared_pace(clock, Credentials(region="a"))
        self.assertIs(shared_pace(clock, Credentials(region="a")), one)
        self.assertIsNot(shared_pace(clock, Credentials(region="b")), one)
        self.assertIsNot(shared_pace(clock, Credentials(region="a", profile="x")), one)
        self.assertIsNot(shared_pace(Clock(), Credentials(region="a")), one)


class TestSmallParts(SynchronousTestCase):
    def test_operations_are_called_as_boto3_calls_them(self) -> None:
        self.assertEqual(_method("DescribeInstanceStatus"), "describe_instance_status")
        self.assertEqual(_method("CancelSpotInstanceRequests"), "cancel_spot_instance_requests")

    def test_the_newest_image_is_taken_and_always_the_same_of_two(self) -> None:
        images = [
            {"ImageId": "ami-2", "CreationDate": "2025-03-01"},
            {"ImageId": "ami-1", "CreationDate": "2025-09-01"},
            {"ImageId": "ami-0", "CreationDate": "2025-09-01"},
        ]
        source = ImageFields(owner="self", name="x")
        self.assertEqual(newest(images, source)["ImageId"], "ami-0")
        self.assertEqual(newest(images[::-1], source)["ImageId"], "ami-0")
        self.assertRaises(CallFailed, newest, [], source)

    def test_a_check_that_is_not_finished_is_not_failed(self) -> None:
        def status(number: str, system: str, instance: str) -> dict[str, object]:
            return {
                "InstanceId": number,
                "SystemStatus": {"Status": system},
                "InstanceStatus": {"Status": instance},
            }

        reply = {
            "InstanceStatuses": [
                status("i-1", "ok", "initializing"),
                status("i-2", "impaired", "impaired"),
                status("i-3", "ok", "impaired"),
                status("i-4", "insufficient-data", "not-applicable"),
            ]
        }
        self.assertEqual(
            dict(impaired(reply)),
            {
                "i-2": "i-2 fails the system status check",
                "i-3": "i-3 fails the instance status check",
            },
        )

    def test_the_end_of_a_console_is_short(self) -> None:
        self.assertEqual(console_tail(""), "")
        self.assertEqual(console_tail("one\r\n\n\ntwo\r\n"), "one\ntwo")
        self.assertLessEqual(len(console_tail("x" * 10_000)), 1500)
