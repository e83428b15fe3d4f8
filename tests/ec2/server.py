"""The server itself: a thread with its own HTTP server, and the handle that tests hold."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import boto3
from botocore.client import ClientCreator
from botocore.config import Config
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from . import answers, moto_parts
from .catalogue import Catalogue
from .clock import Clock, RealClock, ScriptedClock
from .cloud import CLOUDS, Cloud, Timings
from .faults import Faults
from .front import Front, Permissions
from .inspector import Inspector
from .launching import Origin, Place, create
from .metadata import metadata_of
from .records import Instance, ScheduledEvent
from .scheduled import schedule
from .spot import NO_CAPACITY, interrupt, recommend_rebalance, shut_down_from_inside
from .systems_manager import SystemsManager

REGION = "us-east-1"
ACCESS_KEY = "AKIATESTTESTTESTTEST"
SECRET_KEY = "not-a-secret"

# How often a server with a real clock looks by itself for what is due, in seconds.
TICK = 0.05

# Sessions read the descriptions of the API, which takes a while; making clients must be serialized.
_session = boto3.session.Session()
_session_lock = threading.Lock()

# botocore builds the class of each client anew, with some 700 methods for EC2. Once will do.
_make_class = ClientCreator._create_client_class
_classes: dict[str, type] = {}


def _class_made_once(creator: ClientCreator, service: str, model: Any) -> type:
    if service not in _classes:
        _classes[service] = _make_class(creator, service, model)
    return _classes[service]


ClientCreator._create_client_class = _class_made_once

assert answers.Answers  # moto's urls lead there since it was imported


class _QuietHandler(MotoRequestHandler):
    """Writes no line for each call."""

    def log(self, type: str, message: str, *args: Any) -> None:
        return


class EC2Server:
    """EC2, SSM, SQS and EventBridge of one account and region, at `url`. See the package."""

    def __init__(
        self,
        *,
        region: str = REGION,
        clock: Clock | None = None,
        timings: Timings | None = None,
        seed: int = 0,
    ) -> None:
        self.region = region
        self.account = moto_parts.new_account()
        self.clock = ScriptedClock() if clock is None else clock
        self.cloud = Cloud(self.account, region, self.clock, timings or Timings())
        CLOUDS[self.account] = self.cloud
        self.catalogue = Catalogue(self.cloud)
        self.faults = Faults(seed)
        self.permissions = Permissions()
        self.inspector = Inspector(self.cloud)
        self.url = ""
        self.systems_manager = SystemsManager(self.cloud)
        self._front = Front(
            self.cloud, self.faults, self.permissions, self.inspector, self.systems_manager
        )
        self._http: Any = None
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> EC2Server:
        """Listen on a free port of 127.0.0.1; calls are answered as soon as this returns."""
        self._http = make_server(
            "127.0.0.1", 0, self._front, threaded=True, request_handler=_QuietHandler
        )
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.port}"
        self._run_thread(lambda: self._http.serve_forever(poll_interval=0.02))
        if not isinstance(self.clock, ScriptedClock):
            self._run_thread(self._tick)
        return self

    def _run_thread(self, target: Any) -> None:
        thread = threading.Thread(target=target, name="ec2-test-server", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _tick(self) -> None:
        while not self._stopping.wait(TICK):
            self.cloud.settle()

    def stop(self) -> None:
        """Answer no more calls. What the inspector knows stays."""
        self._stopping.set()
        self._front.close()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None
        for thread in self._threads:
            thread.join(10)
        self.systems_manager.kill_all()
        CLOUDS.pop(self.account, None)

    def __enter__(self) -> EC2Server:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # -- for clients ---------------------------------------------------------------------------

    def client(self, service: str = "ec2", *, attempts: int = 1, access_key: str = "") -> Any:
        """A boto3 client of this server, which tries each call so many times."""
        config = Config(
            retries={"total_max_attempts": attempts, "mode": "standard"},
            connect_timeout=10,
            read_timeout=60,
            proxies={},
        )
        with _session_lock:
            return _session.client(
                service,
                region_name=self.region,
                endpoint_url=self.url,
                aws_access_key_id=access_key or ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
                config=config,
            )

    def environment(self) -> dict[str, str]:
        """The environment variables by which boto3 in another process finds this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "NO_PROXY": "127.0.0.1",
        }

    # -- time ----------------------------------------------------------------------------------

    @property
    def timings(self) -> Timings:
        """How long things take; may be changed at any time."""
        return self.cloud.timings

    def advance(self, seconds: float) -> None:
        """Move the scripted clock on; all that is due on the way happens, in order."""
        self.cloud.advance(seconds)

    def settle(self) -> None:
        """Do all that is due now, without waiting for a call to do it."""
        self.cloud.settle(wait=True)

    # -- what a test can do to the cloud -------------------------------------------------------

    @property
    def hooks(self) -> Any:
        """`on_launch`, `on_running`, `on_stopped`, `on_terminated`, each to be set to a function
        of an instance."""
        return self.cloud.hooks

    @property
    def capacity(self) -> Any:
        """Capacity of each pool."""
        return self.cloud.capacity

    @property
    def quotas(self) -> Any:
        """Quotas of the account."""
        return self.cloud.quotas

    @property
    def prices(self) -> Any:
        """Prices."""
        return self.cloud.prices

    def instance(self, instance_id: str) -> Instance:
        """An instance by its id, whatever its state."""
        return self.cloud.get(instance_id)

    def interrupt(self, instance_id: str, *, notice: float = 120.0, status: str = "") -> None:
        """Take a Spot instance back after a notice of so many seconds; 0 is without notice."""
        interrupt(self.cloud, self.instance(instance_id), notice, status or NO_CAPACITY)

    def recommend_rebalance(self, instance_id: str) -> None:
        """Send a rebalance recommendation for an instance."""
        recommend_rebalance(self.cloud, self.instance(instance_id))

    def schedule_event(
        self,
        instance_id: str,
        code: str,
        *,
        not_before: float,
        not_after: float | None = None,
        deadline: float | None = None,
        description: str = "",
    ) -> ScheduledEvent:
        """Schedule a retirement, stop, reboot or maintenance, which happens at `not_before`.

        Its `end("Canceled")` calls it off.
        """
        event = ScheduledEvent("", code, description, not_before, not_after, deadline)
        schedule(self.cloud, self.instance(instance_id), event)
        return event

    def shut_down_from_inside(self, instance_id: str) -> None:
        """Do what `shutdown -h now` on the instance does."""
        shut_down_from_inside(self.cloud, self.instance(instance_id))

    def fail_next_boot(self, reason: str = "Server.InternalError") -> None:
        """The next instance goes from pending to terminated, with this StateReason."""
        self.cloud.failing_boots.append(reason)

    def make_twin(self, instance_id: str) -> str:
        """Launch a second instance with the same tags and client token; returns its id."""
        with self.cloud.lock:
            first = self.instance(instance_id)
            place = Place(first.zone, first.moto.subnet_id)
            origin = Origin(first.sent, first.origin_token, first.fleet_id)
            request = {key: v for key, v in first.request.items() if key != "PrivateIpAddress"}
            twin = create(self.cloud, request, place, 1, origin)[0]
            twin.client_token = first.client_token
            self.cloud.moto.create_tags([twin.id], first.tags)
            return twin.id

    def instance_metadata(self, instance_id: str) -> dict[str, str]:
        """What an instance would read from its metadata service, by path under latest/.

        Only what changes with an interruption and what tells who it is.
        """
        return metadata_of(self.cloud, self.instance(instance_id))


def real_time_server(**options: Any) -> EC2Server:
    """A server whose clock is the time of day, for tests with real processes."""
    return EC2Server(clock=RealClock(), **options)
