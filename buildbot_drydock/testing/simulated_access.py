"""Who may use what in a simulation, and an administrator who keeps changing his mind."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from random import Random
from typing import Any, Final, TypeVar

from buildbot_drydock import events
from buildbot_drydock.model import Authorization, Authorizations, AuthorizationStatus, Blueprint
from buildbot_drydock.store.memory import MemoryStore

T = TypeVar("T")

BUILDERS: Final = ("builder/tests", "builder/docs")
PROJECTS: Final = ((), ("project/lab",))
ALLOWED: Final = (None, (), ("builder/tests",), ("project/*",), ("builder/*",), ("*",))


def some_subjects(random: Random, owner: str) -> tuple[str, ...]:
    """Return in whose name a holder asks."""
    return (random.choice(BUILDERS), *random.choice(PROJECTS), owner)


def some_rules(random: Random) -> dict[str, Any]:
    """Return the fields of a blueprint that say who may use it; most are for everybody."""
    return random.choice(
        [
            {},
            {},
            {"allow": random.choice(ALLOWED)},
            {"allow": random.choice(ALLOWED[:3]), "needs_approval": True},
            {"needs_approval": True},
        ]
    )


def changed_rules(blueprint: Blueprint, random: Random) -> Blueprint:
    return replace(blueprint, **{"allow": None, "needs_approval": False, **some_rules(random)})


def open_rules(blueprint: Blueprint) -> Blueprint:
    """Return a blueprint whose list keeps nobody out who need not be approved."""
    return blueprint if blueprint.needs_approval else replace(blueprint, allow=None)


class Administrator:
    """Decides at random, now about what was asked for, and then about what was not."""

    def __init__(self, store: MemoryStore, random: Random) -> None:
        self._store = store
        self._random = random

    def decide_something(self, blueprint: str) -> None:
        known = self.known([blueprint])
        subject = self._random.choice([*BUILDERS, "project/lab", *(key[1] for key in known)])
        seen = known.get((blueprint, subject), Authorization(blueprint=blueprint, subject=subject))
        self._decide(seen)

    def decide_what_was_asked(self, blueprints: list[str]) -> None:
        for seen in self.known(blueprints).values():
            if seen.status is AuthorizationStatus.REQUESTED:
                self._decide(seen)

    def known(self, blueprints: list[str]) -> Authorizations:
        return _finish(self._store.rows(authorizations_of=blueprints)).authorizations

    def _decide(self, seen: Authorization) -> None:
        status = self._random.choice([AuthorizationStatus.APPROVED, AuthorizationStatus.DECLINED])
        record = events.AuthorizationDecided(
            actor="ana",
            subject=seen.subject,
            status=status.value,
            before=seen.status.value,
            reason="",
        )
        _finish(self._store.decide_authorization(seen, status, record, author="ana"))


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of a store that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        answer: T = stopped.value
        return answer
    raise AssertionError("a store in memory waits for nothing")
