"""Faults by rule: which calls fail, when, and how."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from .problems import EC2Error


@dataclass
class Fault:
    """What goes wrong with one call.

    `error` is answered, or the connection breaks (`reset`), or `body` comes instead of an answer
    (`garbage`), each before the work or after it (`after_work`). `delay` holds the call up for so
    many real seconds before its work, `gate` until it is opened. Instances that the call made
    appear in listings only after `appear_after` seconds of the server's clock.
    """

    error: EC2Error | None = None
    reset: bool = False
    garbage: str | None = None
    after_work: bool = False
    delay: float = 0.0
    gate: Gate | None = None
    appear_after: float | None = None


class Gate:
    """Holds calls up until the test opens it."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()

    def open(self) -> None:
        """Let all calls pass, those that wait and those that come."""
        self._open.set()

    def wait_until_reached(self, seconds: float = 30.0) -> bool:
        """Wait until a call stands at the gate; False if none came."""
        return self._reached.wait(seconds)

    def pass_through(self) -> None:
        """Be a call that has to wait; for a minute at most."""
        self._reached.set()
        self._open.wait(60.0)


def error(code: str, message: str = "", *, status: int | None = None) -> Fault:
    """An error of any code, answered instead of doing the work."""
    return Fault(error=EC2Error(code, message or f"Planned by the test: {code}.", status))


def throttled() -> Fault:
    """RequestLimitExceeded, with status 503."""
    return error("RequestLimitExceeded", "Request limit exceeded.")


def throttling() -> Fault:
    """Throttling, with status 400, as other services say it."""
    return error("Throttling", "Rate exceeded")


def request_expired() -> Fault:
    """RequestExpired: what EC2 says to expired session credentials."""
    return error("RequestExpired", "Request has expired.")


def expired_token() -> Fault:
    """ExpiredToken: what most services say to expired session credentials."""
    return error("ExpiredToken", "The security token included in the request is expired")


def auth_failure() -> Fault:
    """AuthFailure: credentials that EC2 doesn't know."""
    return error("AuthFailure", "AWS was not able to validate the provided access credentials")


def internal_error(*, after_work: bool = False) -> Fault:
    """InternalError, with status 500, before the work or (worse) after it was done."""
    fault = error("InternalError", "An internal error has occurred")
    fault.after_work = after_work
    return fault


def unavailable() -> Fault:
    """Unavailable, with status 503."""
    return error("Unavailable", "The server is overloaded and can't handle the request.")


def no_capacity() -> Fault:
    """InsufficientInstanceCapacity whatever the pool."""
    return error("InsufficientInstanceCapacity", "There is no capacity that matches your request.")


def connection_reset() -> Fault:
    """The connection breaks before anything was done."""
    return Fault(reset=True)


def reply_lost() -> Fault:
    """The work is done, and the connection breaks before the answer."""
    return Fault(reset=True, after_work=True)


def garbage(body: str = "<html><body>502 Bad Gateway</body>", *, after_work: bool = False) -> Fault:
    """Something that is no answer of EC2, with status 200."""
    return Fault(garbage=body, after_work=after_work)


def slow(seconds: float) -> Fault:
    """The answer takes so many real seconds longer."""
    return Fault(delay=seconds)


def held(gate: Gate) -> Fault:
    """The call stands still, before its work, until the test opens the gate."""
    return Fault(gate=gate)


def appears_late(seconds: float) -> Fault:
    """The launch answers InternalError, and yet its instances show up so much later.

    A repeated call with the same ClientToken gets them, as after any lost reply.
    """
    fault = internal_error(after_work=True)
    fault.appear_after = seconds
    return fault


@dataclass
class _Rule:
    actions: str
    fault: Fault
    calls: int | None
    probability: float
    skip: int


@dataclass
class Faults:
    """The rules of one server. The first rule that fits a call and strikes is taken."""

    seed: int = 0
    _rules: list[_Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def next(self, actions: str, fault: Fault, *, calls: int = 1, skip: int = 0) -> None:
        """The next calls of these actions fail, after `skip` of them; `*` stands for anything."""
        with self._lock:
            self._rules.append(_Rule(actions, fault, calls, 1.0, skip))

    def always(self, actions: str, fault: Fault) -> None:
        """All calls of these actions fail until `clear`."""
        with self._lock:
            self._rules.append(_Rule(actions, fault, None, 1.0, 0))

    def sometimes(self, actions: str, fault: Fault, *, probability: float) -> None:
        """Each call of these actions fails with a probability, by the seeded random numbers."""
        with self._lock:
            self._rules.append(_Rule(actions, fault, None, probability, 0))

    def clear(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._rules.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing fails meanwhile: for calls of the test's own. Only one pause at a time."""
        with self._lock:
            rules, self._rules = self._rules, []
        try:
            yield
        finally:
            with self._lock:
                self._rules = [*rules, *self._rules]

    def strike(self, action: str) -> Fault | None:
        """The fault of a call that has just come; None if it goes well."""
        with self._lock:
            for rule in self._rules:
                if fnmatchcase(action, rule.actions) and self._strikes(rule):
                    return rule.fault
        return None

    def _strikes(self, rule: _Rule) -> bool:
        if rule.calls is None:
            return self._random.random() < rule.probability
        if rule.skip > 0:
            rule.skip -= 1
            return False
        if rule.calls <= 0:
            return False
        rule.calls -= 1
        return True
