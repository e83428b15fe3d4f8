"""The provider of listed hosts: a list, and a keeper for each machine on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeAlias

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from buildbot_drydock import events
from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.interfaces import Clock, Host, HostSpec
from buildbot_drydock.latent.hosts_fields import HOST_LABEL, HostFields
from buildbot_drydock.latent.keeper import Keeper
from buildbot_drydock.model import Health, Labels, Lease, ListedHost, Observed, Resource

# The first looks at the hosts of a long list are spread over time.
FIRST_LOOKS_APART_SECONDS: Final = 0.01

_CHANGED: Final = (
    "its entry was changed; it is used again once what was begun with the old one has ended"
)


class BrokenList(Exception):
    """The list cannot be used. The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class HostEntry:
    """A host in force: its fields, and the way to it, which is equal if nothing of it changed."""

    host: HostFields
    way: Any
    listed: ListedHost  # as it is while it is in service and available

    @property
    def name(self) -> str:
        return self.host.name


# The hosts in force, by name, in order.
HostList: TypeAlias = Mapping[str, HostEntry]
MakeKeeper: TypeAlias = Callable[[HostEntry], Keeper]


class ListSource(Protocol):
    """Where the list comes from."""

    @property
    def path(self) -> str:
        """The file's; empty without one."""
        ...

    async def changed(self) -> HostList | None:
        """Return the list if it may have changed since it was last asked for.

        Raises ``BrokenList``, once for each change.
        """
        ...


@dataclass(slots=True)
class _Kept:
    keeper: Keeper
    way: Any


def host_of(token: str) -> str:
    """Return the name of the host that a token was made for."""
    return token.rpartition("@")[2]


def host_list(hosts: Iterable[tuple[HostFields, Any]], pool: Labels) -> HostList:
    """Return the list of hosts, each with the way to it. *pool* is the labels of all of them."""
    return {
        host.name: HostEntry(
            host,
            way,
            ListedHost(
                name=host.name,
                labels={**pool, **host.labels, HOST_LABEL: host.name},
                slots=host.slots,
            ),
        )
        for host, way in hosts
    }


def disabled(host: HostFields, now: float) -> str:
    """Return why the list has a host out of service; empty if it has not."""
    return "" if host.disabled is None else host.disabled.at(now)


class HostProvider:
    """Takes listed machines into use, and leaves them clean. No verb waits for a machine."""

    log = Logger()

    def __init__(
        self,
        hosts: HostList,
        source: ListSource,
        make_keeper: MakeKeeper,
        *,
        clock: Clock,
        keep_build_directories: bool = True,
        report: Callable[[events.Event], None] = lambda event: None,
        closing: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """*closing* closes what the keepers share."""
        self._hosts = hosts
        self._source = source
        self._make_keeper = make_keeper
        self._clock = clock
        self._keep_build_directories = keep_build_directories
        self._report = report
        self._closing = closing
        self._kept: dict[str, _Kept] = {}
        self._nowhere: dict[str, float] = {}  # tokens of hosts that are not listed; since when
        self._begun = False
        self._closed = False

    # --- the verbs ---------------------------------------------------------------------------

    async def inventory(self) -> Sequence[Observed]:
        await self._read_list()
        self._keep_all()
        self._begun = True
        found = [each for kept in self._kept.values() for each in kept.keeper.listing()]
        return [*found, *map(self._observed_nowhere, self._nowhere)]

    async def create(self, token: str, spec: HostSpec) -> None:
        """Take a machine into use in the background; nothing if that is so, or under way."""
        kept = self._kept_as(spec.host or host_of(token))
        if kept is not None:
            kept.keeper.use(token)
        else:
            self._nowhere.setdefault(token, self._clock.seconds())

    async def destroy(self, token: str, identity: str = "") -> None:
        """Clean a machine up in the background. There are no twins to be told apart."""
        if identity:
            return
        kept = self._kept_as(host_of(token))
        if kept is not None:
            kept.keeper.leave(token)
        elif self._nowhere.pop(token, None) is None:
            self.log.warn(
                "the host of {token} is not listed any more: nothing was cleaned up there",
                token=token,
            )

    def connect(self, resource: Resource) -> Host:
        """Return the way to a machine. Raises ``HostUnreachable`` if it is not listed."""
        return self._keeper_of(resource).host(resource.token)

    async def vacate(self, resource: Resource, lease: Lease) -> None:
        """End what a lease left. What is on a machine that is not listed is out of reach."""
        try:
            keeper = self._keeper_of(resource)
        except HostUnreachable as error:
            self.log.warn("{error}: lease {lease} is not ended there", error=error, lease=lease.id)
            return
        await keeper.host(resource.token).stop(lease.tag)
        if not self._keep_build_directories and lease.slot is not None:
            await keeper.wipe(lease.slot)

    def listed(self) -> Sequence[ListedHost]:
        now = self._clock.seconds()
        return [self._listed(entry, now) for entry in self._hosts.values()]

    async def close(self) -> None:
        """Let go of all machines. What runs there goes on."""
        self._closed = True
        closing = [Deferred.fromCoroutine(kept.keeper.close()) for kept in self._kept.values()]
        self._kept.clear()
        await DeferredList(closing, consumeErrors=True)
        if self._closing is not None:
            await self._closing()

    @property
    def is_working(self) -> bool:
        """Whether any machine is being worked on."""
        return any(kept.keeper.is_working for kept in self._kept.values())

    # --- the list ----------------------------------------------------------------------------

    async def _read_list(self) -> None:
        try:
            found = await self._source.changed()
        except BrokenList as error:
            self._report(events.HostListBroken(path=self._source.path, error=str(error)))
            return
        if found is None:
            return
        before, self._hosts = self._hosts, found
        changed = [n for n in found if n in before and found[n].host != before[n].host]
        added = [name for name in found if name not in before]
        removed = [name for name in before if name not in found]
        if added or removed or changed:
            self._report(
                events.HostListRead(
                    path=self._source.path, added=added, removed=removed, changed=changed
                )
            )

    def _keep_all(self) -> None:
        """Have a keeper for each listed host, and for others until nothing of ours is there."""
        now = self._clock.seconds()
        for number, entry in enumerate(self._hosts.values()):
            delay = 0.0 if self._begun else number * FIRST_LOOKS_APART_SECONDS
            kept = self._keep(entry, delay)
            in_service = kept.way == entry.way and not disabled(entry.host, now)
            kept.keeper.put_in_service(in_service)
        for name in [name for name in self._kept if name not in self._hosts]:
            if self._kept[name].keeper.is_free:
                self._let_go(name)
            else:
                self._kept[name].keeper.put_in_service(False)

    def _keep(self, entry: HostEntry, delay: float = 0.0) -> _Kept:
        """Return the keeper of a host, a new one if the old one has nothing to do any more."""
        kept = self._kept.get(entry.name)
        if kept is not None and kept.way != entry.way and kept.keeper.is_free:
            self._let_go(entry.name)
            kept = None
        if kept is None:
            kept = self._kept[entry.name] = _Kept(self._make_keeper(entry), entry.way)
            kept.keeper.begin(delay)
        return kept

    def _kept_as(self, name: str) -> _Kept | None:
        """Return the keeper of a host by its name; ``None`` if it is neither listed nor kept."""
        if self._closed:
            return None
        entry = self._hosts.get(name)
        return self._kept.get(name) if entry is None else self._keep(entry)

    def _let_go(self, name: str) -> None:
        closing = Deferred.fromCoroutine(self._kept.pop(name).keeper.close())
        closing.addErrback(lambda failure: self.log.failure("closing host {n}", failure, n=name))

    def _listed(self, entry: HostEntry, now: float) -> ListedHost:
        kept = self._kept.get(entry.name)
        unavailable = "it has not been looked at yet" if kept is None else kept.keeper.unavailable
        why = disabled(entry.host, now)
        if not why and kept is not None and kept.way != entry.way:
            why = _CHANGED
        if not why and not unavailable:
            return entry.listed
        return replace(entry.listed, disabled=why, unavailable=unavailable)

    def _keeper_of(self, resource: Resource) -> Keeper:
        name = resource.host or host_of(resource.token)
        kept = self._kept_as(name)
        if kept is None:
            raise HostUnreachable(f"host {name} of resource {resource.id} is not listed any more")
        return kept.keeper

    def _observed_nowhere(self, token: str) -> Observed:
        return Observed(
            token=token,
            health=Health.FAILING,
            created_at=self._nowhere[token],
            reason=f"host {host_of(token)} is not listed any more",
        )
