"""Calls to AWS, in threads, with the credentials of one account and in one region.

botocore would wait and try again by itself; here the loop does, so each call is made once. When AWS
throttles, all calls of that account and region wait together, whichever blueprint made them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import boto3
import botocore.exceptions
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from buildbot_drydock.errors import RetryLater
from buildbot_drydock.interfaces import Clock
from buildbot_drydock.latent.ec2.causes import Call, CallFailed, Cause
from buildbot_drydock.latent.ec2.failures import translated

T = TypeVar("T")

CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60
# Between two throttled calls: doubled from the first to the last.
FIRST_PAUSE_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 120.0
_MOST_DOUBLINGS: Final = 10
_SESSION_NAME: Final = "buildbot-drydock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Which account is used, and where."""

    region: str
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    endpoint_url: str | None = None


class Pace:
    """How soon the next call of an account in a region may be made."""

    def __init__(self) -> None:
        self._until = 0.0
        self._times = 0  # throttled in a row

    def require(self, now: float, call: Call) -> None:
        """Raise what throttling means while it lasts."""
        if now < self._until:
            error = RetryLater(
                f"{call}: AWS throttles the calls of this account; they wait",
                after=self._until - now,
            )
            raise CallFailed(Cause.THROTTLED, error)

    def throttled(self, now: float, uniform: float) -> float:
        """Take note of a throttled call; return how long all calls wait now.

        Of many that were under way at once the first counts. *uniform*, in [0, 1), keeps masters
        from coming back at one moment.
        """
        if now >= self._until:
            self._times += 1
            doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(self._times - 1, _MOST_DOUBLINGS)
            self._until = now + min(doubled, LONGEST_PAUSE_SECONDS) * (0.5 + 0.5 * uniform)
        return self._until - now

    def succeeded(self, now: float) -> None:
        if now >= self._until:
            self._times = 0


# Those of this process that are in use: blueprints share them.
_paces: Final[WeakValueDictionary[tuple[int, Credentials, str], Pace]] = WeakValueDictionary()


def shared_pace(clock: Clock, credentials: Credentials, service: str = "ec2") -> Pace:
    """Return the pace of a service in an account and region, one for each reactor."""
    return _paces.setdefault((id(clock), credentials, service), Pace())


class Account:
    """Makes calls. Raises ``CallFailed`` for what AWS says, or does not say."""

    def __init__(
        self,
        reactor: Any,  # IReactorFromThreads
        threads: ThreadPool,
        credentials: Credentials,
        pace: Pace,
        *,
        clock: Clock,
        uniform: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._credentials = credentials
        self._pace = pace
        self._clock = clock
        self._uniform = uniform
        self._lock = threading.Lock()  # a session makes one client at a time
        self._session: Any = None
        self._clients: dict[str, Any] = {}  # a client serves many threads

    @property
    def region(self) -> str:
        return self._credentials.region

    async def call(
        self, operation: str, request: Mapping[str, Any], *, about: str = "", service: str = "ec2"
    ) -> dict[str, Any]:
        """Make one call; *operation* is as in the API, such as ``RunInstances``."""
        call = Call(operation=operation, region=self.region, service=service, about=about)
        return await self._made(call, lambda client: getattr(client, _method(operation))(**request))

    async def pages(
        self, operation: str, request: Mapping[str, Any], *, about: str = "", service: str = "ec2"
    ) -> list[dict[str, Any]]:
        """Make a call for each page of a listing; return them all."""
        call = Call(operation=operation, region=self.region, service=service, about=about)

        def listed(client: Any) -> list[dict[str, Any]]:
            return list(client.get_paginator(_method(operation)).paginate(**request))

        return await self._made(call, listed)

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function that takes a while, in a thread of those that make calls."""
        answer: T = await deferToThreadPool(self._reactor, self._threads, function, *arguments)
        return answer

    def call_in_thread(
        self, operation: str, request: Mapping[str, Any], *, service: str
    ) -> dict[str, Any]:
        """Make one call in the thread that this is called in, which it blocks."""
        call = Call(operation=operation, region=self.region, service=service)
        return self._act(call, lambda client: getattr(client, _method(operation))(**request))

    async def _made(self, call: Call, act: Callable[[Any], T]) -> T:
        self._pace.require(self._clock.seconds(), call)
        try:
            made: T = await deferToThreadPool(self._reactor, self._threads, self._act, call, act)
        except CallFailed as failed:
            if failed.cause is Cause.THROTTLED and isinstance(failed.error, RetryLater):
                now = self._clock.seconds()
                failed.error.after = self._pace.throttled(now, self._uniform())
            raise
        self._pace.succeeded(self._clock.seconds())
        return made

    # --- in a thread -------------------------------------------------------------------------

    def _act(self, call: Call, act: Callable[[Any], T]) -> T:
        try:
            return act(self._client(call.service))
        except Exception as error:
            raise translated(error, call) from error

    def _client(self, service: str) -> Any:
        with self._lock:
            if self._session is None:
                self._session = new_session(self._credentials)
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service, endpoint_url=self._credentials.endpoint_url, config=_config()
                )
            return self._clients[service]


def _config() -> Config:
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=20,
        user_agent_extra="buildbot-drydock",
    )


def _method(operation: str) -> str:
    """Return what boto3 calls an operation. It has one for all that are used here."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).lstrip("_")


# --- sessions ----------------------------------------------------------------------------------

# What it has read of the descriptions of EC2 takes tens of megabytes: once is enough.
_loader: Final = botocore.loaders.create_loader()


def _session(profile: str | None) -> Any:
    session = botocore.session.Session(profile=profile)
    session.register_component("data_loader", _loader)
    return session


class _AssumedRole(CredentialProvider):  # type: ignore[misc]
    """The credentials of a role, which are renewed before they expire."""

    METHOD = "assume-role"

    def __init__(self, fetcher: Any) -> None:
        super().__init__()
        self._fetcher = fetcher

    def load(self) -> Any:
        return DeferredRefreshableCredentials(
            method=self.METHOD, refresh_using=self._fetcher.fetch_credentials
        )


def new_session(credentials: Credentials) -> Any:
    """Return a session with the credentials that boto3 finds, or with those of a role. Blocks."""
    own = _session(credentials.profile)
    own.set_config_variable("region", credentials.region)
    if credentials.role_arn is None:
        return boto3.Session(botocore_session=own, region_name=credentials.region)

    def client(service: str, **arguments: Any) -> Any:
        arguments.setdefault("config", _config())
        return own.create_client(
            service,
            region_name=credentials.region,
            endpoint_url=credentials.endpoint_url,
            **arguments,
        )

    extra = {"RoleSessionName": _SESSION_NAME}
    if credentials.external_id is not None:
        extra["ExternalId"] = credentials.external_id
    source = own.get_credentials()
    if source is None:
        raise botocore.exceptions.NoCredentialsError()
    fetcher = AssumeRoleCredentialFetcher(client, source, credentials.role_arn, extra_args=extra)
    assumed = _session(None)
    assumed.register_component("credential_provider", CredentialResolver([_AssumedRole(fetcher)]))
    return boto3.Session(botocore_session=assumed, region_name=credentials.region)
