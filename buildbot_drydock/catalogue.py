"""The blueprints that one master has, configured or on their way out, and their providers.

What is configured may be edited at run time: the edits are in the rows, and are laid over the
configuration here, so that nothing behind this knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from buildbot_drydock.abilities import Closes, ListsHosts, Prices
from buildbot_drydock.interfaces import Provider
from buildbot_drydock.latent.definition import Definition, Surroundings
from buildbot_drydock.latent.overrides import Edited, edited
from buildbot_drydock.model import Blueprint, BlueprintState, Override

CLOSING_SECONDS: Final = 15.0

_NO_STATES: Final[Mapping[str, BlueprintState]] = {}


class Catalogue:
    """*surroundings* are those of the providers, asked for when one is made."""

    log = Logger()

    def __init__(self, surroundings: Callable[[], Surroundings]) -> None:
        self._surroundings = surroundings
        self._configured: dict[str, Definition] = {}
        self._retired: dict[str, Definition] = {}  # until their resources are gone
        self.providers: dict[str, Provider] = {}
        # The last edits of each, with what they were made from.
        self._edited: dict[str, tuple[Definition, Mapping[str, Override], Edited]] = {}

    def configure(self, definitions: Sequence[Definition]) -> None:
        wanted = {each.name: each for each in definitions}
        for name, old in self._configured.items():
            if name not in wanted:
                self._retired[name] = old
        for name, new in wanted.items():
            # A provider that is as it was keeps its memory.
            if new != self.definition(name):
                self._close_in_background(name)
                self.providers[name] = new.provider(self._surroundings())
            self._retired.pop(name, None)
        self._configured = wanted

    def configured(self) -> dict[str, Definition]:
        """Return the blueprints as configured, by name, without those on their way out."""
        return dict(self._configured)

    def definition(self, name: str) -> Definition | None:
        return self._configured.get(name) or self._retired.get(name)

    def blueprints(
        self, now: float, states: Mapping[str, BlueprintState] = _NO_STATES
    ) -> list[Blueprint]:
        """Return what there is at *now*, and what only has to let go of what it has.

        *states* are those of the rows; a blueprint without one has none yet.
        """
        return [
            *(self._blueprint(each, now, states) for each in self._configured.values()),
            *(
                replace(self._blueprint(each, now, states), retired=True, min_ready=0)
                for each in self._retired.values()
            ),
        ]

    def _blueprint(
        self, definition: Definition, now: float, states: Mapping[str, BlueprintState]
    ) -> Blueprint:
        name = definition.name
        state = states.get(name, BlueprintState(name=name))
        effective = self.edited(definition, state.overrides).definition
        blueprint = effective.blueprint(now, state)
        provider = self.providers[name]
        if isinstance(provider, Prices):
            blueprint = replace(blueprint, expected_price=provider.expected_price())
        if not isinstance(provider, ListsHosts):
            return blueprint
        return effective.with_hosts(blueprint, provider.listed())

    def edited(self, definition: Definition, overrides: Mapping[str, Override]) -> Edited:
        """Lay edits over a definition, which is worked out once for the same edits."""
        known = self._edited.get(definition.name)
        if known is not None and known[0] is definition and known[1] == overrides:
            return known[2]
        found = edited(definition, overrides)
        for field, problem in found.ignored.items():
            self.log.warn(
                "blueprint {name}: the edited {field} is ignored: {problem}",
                name=definition.name,
                field=field,
                problem=problem,
            )
        self._edited[definition.name] = (definition, overrides, found)
        return found

    def forget_all_but(self, in_use: Collection[str]) -> None:
        """Forget blueprints that are no longer configured and have no resources."""
        for name in self._retired.keys() - in_use:
            del self._retired[name]
            self._close_in_background(name)

    # --- closing -----------------------------------------------------------------------------

    async def close(self) -> None:
        for name, provider in self.providers.items():
            await self._close(name, provider)

    def _close_in_background(self, name: str) -> None:
        """Forget a provider, if there is one."""
        self._edited.pop(name, None)
        provider = self.providers.pop(name, None)
        if provider is not None:
            Deferred.fromCoroutine(self._close(name, provider))

    async def _close(self, name: str, provider: Provider) -> None:
        if not isinstance(provider, Closes):
            return
        reactor: Any = self._surroundings().reactor
        try:
            closing = Deferred.fromCoroutine(provider.close())
            await closing.addTimeout(CLOSING_SECONDS, reactor)
        except Exception:  # noqa: BLE001 - it is a provider's own, and nothing depends on it
            self.log.failure("blueprint {name} could not be closed", name=name)
