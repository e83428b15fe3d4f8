"""The options of a worker, told from Buildbot's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Final

from buildbot.interfaces import IRenderable

from buildbot_drydock.latent.definition import label_text
from buildbot_drydock.latent.starting import Hopeless
from buildbot_drydock.model import Labels
from buildbot_drydock.offers import Demand, demand_of


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The options of a worker that are not Buildbot's own. All times are in seconds."""

    requires: Any = field(default_factory=dict)  # labels, or a renderable of them
    blueprints: tuple[str, ...] = ()  # the only ones allowed; empty for all
    type: str = "host"
    priority: int = 0
    max_start_attempts: int = 5  # failed starts for one build request, until its build fails
    missing_timeout: float = 3600.0  # how long a lease is waited for
    login_timeout: float = 120.0  # from an active lease to a worker that is connected
    reconnect_timeout: float = 90.0  # how long a lost or adopted worker may take to come back
    stop_timeout: float = 30.0  # for each step of giving a lease back
    build_wait_timeout: float = 600.0  # idle time; 0 for none, -1 for ever
    keep_on_shutdown: bool = True  # the process and its lease outlive a polite stop of the master
    directory: str = "worker"  # on the host; each slot has its own, kept from lease to lease
    # An interpreter on the host; empty for what the blueprint found there, or the master's own on
    # the master's machine, or python3.
    python: str = ""
    # How the host reaches the master, unless by a tunnel; empty for this machine's name.
    masterFQDN: str = ""
    service: str = "drydock"

    @cached_property
    def demand(self) -> Demand:
        """What is asked for, whatever the build. It is looked at often: for each build anew."""
        fixed = rendered_labels(self.requires) if is_fixed(self.requires) else None
        return demand_of(self.type, fixed, self.blueprints)


_NAMES: Final = frozenset(each.name for each in fields(Terms))
POSITIVE: Final = (
    "max_start_attempts",
    "missing_timeout",
    "login_timeout",
    "reconnect_timeout",
    "stop_timeout",
)


def split_terms(arguments: Mapping[str, Any]) -> tuple[Terms, dict[str, Any]]:
    """Tell our own options from Buildbot's."""
    ours = {key: value for key, value in arguments.items() if key in _NAMES}
    if "blueprints" in ours:
        ours["blueprints"] = tuple(ours["blueprints"])
    return Terms(**ours), {k: v for k, v in arguments.items() if k not in _NAMES}


def is_fixed(requires: Any) -> bool:
    """Tell whether what is required is the same for all builds."""
    if not isinstance(requires, Mapping):
        return False
    return not any(IRenderable.providedBy(value) for value in requires.values())


def rendered_labels(rendered: Any) -> Labels:
    """Return what a build requires, as it is compared with labels. Raises ``Hopeless``."""
    if not isinstance(rendered, Mapping):
        raise Hopeless(f"requires must be a dictionary, and is {rendered!r}")
    return {str(label): _value(label, value) for label, value in rendered.items()}


def _value(label: object, value: object) -> str:
    try:
        return label_text(value)
    except ValueError as error:
        raise Hopeless(
            f"requires[{label!r}] is {value!r}: {error}; if it is rendered from a property, see "
            "whether the build has that"
        ) from None
