"""What a provider may be able to do beside the four verbs that each has.

None is asked of anybody: what a provider can do is seen by its methods.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from buildbot_drydock.model import Lease, ListedHost, Resource


@runtime_checkable
class Prepares(Protocol):
    """A provider with per-lease set-up, such as a checkout."""

    async def prepare(self, resource: Resource, lease: Lease) -> None:
        """Set the resource up for the lease. Called again after a crash, so it must be repeatable."""
        ...


@runtime_checkable
class Vacates(Protocol):
    """A provider on whose hosts a lease can leave something running."""

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        """End all that *lease* left on *resource*; return once nothing is left. Repeatable."""
        ...


@runtime_checkable
class Parks(Protocol):
    """A provider that can stop hosts, so that they cost next to nothing, and start them again.

    It lists those that it could park as ``parkable``, one that is stopping or stopped, whoever
    wanted that, as being parked or parked, and one that starts again as it lists a new one. Both
    verbs are called again until the listing agrees, may be called by two masters at once, and may
    arrive late.
    """

    async def park(self, token: str, identity: str) -> None:
        """Begin to stop a host; nothing if it is stopped already, or gone.

        Raises ``RequestRejected`` if that can never be: then the host is destroyed instead.
        """
        ...

    async def wake(self, token: str, identity: str) -> None:
        """Begin to start a host that was parked; nothing if it runs already, or is gone.

        Raises ``NoCapacity`` if there is none for it: then it stays parked, and the lease that it
        was to be woken for goes elsewhere.
        """
        ...


@runtime_checkable
class ListsHosts(Protocol):
    """A provider that builds nothing: its hosts are machines on a list.

    ``create`` then takes the machine named in the spec into use, and ``destroy`` leaves it clean.
    The token ends with ``@`` and that name, so that both know where to look. A host that could not
    be taken into use is listed as failing, and ``listed`` says why it is unavailable until it can.
    """

    def listed(self) -> Sequence[ListedHost]:
        """Return the list in its order, as known at the moment. Called often: no I/O."""
        ...


@runtime_checkable
class ListsInPart(Protocol):
    """A provider whose hosts are in several places, of which some may not answer."""

    def unlisted(self) -> Collection[str]:
        """Return the places that the last inventory could not list.

        Each is what its hosts have as their address. What is there is neither judged gone nor
        swept, and goes on as it is known.
        """
        ...


@runtime_checkable
class TellsNews(Protocol):
    """A provider that learns of changes by itself. It asks for a turn, and is listed in it."""

    def has_news(self) -> bool:
        """Tell whether anything has changed since the last inventory was begun.

        Called often: no I/O.
        """
        ...


@runtime_checkable
class Prices(Protocol):
    """A provider whose hosts cost money. It tells the price of each in its listing as well."""

    def expected_price(self) -> float | None:
        """Return what an hour of the next host costs at most, if that is known.

        Called often: no I/O. Until a host's own price is listed, it counts as much.
        """
        ...


@runtime_checkable
class Closes(Protocol):
    """A provider that keeps something open, such as connections."""

    async def close(self) -> None:
        """Close it, as the master stops or the blueprint was changed. What runs goes on."""
        ...


# --- rows ------------------------------------------------------------------------------------
