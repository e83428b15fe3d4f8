"""``HostPool``: machines that there are already, on a list, reached over SSH."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
from twisted.internet.threads import deferToThreadPool

from buildbot_drydock.interfaces import Host as RemoteHost
from buildbot_drydock.latent import hosts_access
from buildbot_drydock.latent.definition import Definition, Surroundings
from buildbot_drydock.latent.host_provider import (
    BrokenList,
    HostEntry,
    HostList,
    HostProvider,
    disabled,
    host_list,
)
from buildbot_drydock.latent.hosts_fields import (
    SSH,
    Host,
    HostFields,
    SSHFields,
    arguments_of,
    local_path,
)
from buildbot_drydock.latent.interpreter import interpreter
from buildbot_drydock.latent.inventory_file import FileProblem, WatchedFile, checked, read
from buildbot_drydock.latent.keeper import Keeper
from buildbot_drydock.latent.links import Link
from buildbot_drydock.latent.problems import EDITABLE, Conflict, Problem, examine, unit
from buildbot_drydock.latent.schedule import Entry
from buildbot_drydock.latent.ssh_pool import (
    SSHPoolFields,
    address_and_port,
    keeper_rules,
)
from buildbot_drydock.latent.worker_host import wanted_interpreter
from buildbot_drydock.model import Blueprint, BlueprintState, ListedHost

__all__ = ["SSH", "Host", "HostPool", "HostPoolFields"]

MOST_HOSTS: Final = 10_000  # more than any list has; the list itself is what limits
_NOT_FOR_HOSTS: Final = {
    "leases_per_resource": "how many leases a host carries is said host by host",
    "choices": "nothing of a listed host is left to be chosen",
}
_NOT_FOR_HOSTS_REMEDIES: Final = {
    "leases_per_resource": "give each Host its slots",
    "choices": "give each Host its labels",
}


def _sequence(value: object) -> object:
    return tuple(map(arguments_of, value)) if isinstance(value, list | tuple) else value


class HostPoolFields(SSHPoolFields):
    """The fields of ``HostPool``."""

    hosts: Annotated[tuple[HostFields, ...], pydantic.BeforeValidator(_sequence)] = pydantic.Field(
        default=(),
        description="The machines: a list of `Host`.",
        json_schema_extra={
            "values": "a list of Host",
            "remedy": "give hosts a list such as [Host('build1', address='10.0.0.5')]",
        },
    )
    inventory: str | None = pydantic.Field(
        default=None,
        min_length=1,
        description="A YAML or JSON file with more hosts, relative to the master's directory. It "
        "is read again when it has changed; while it is broken, what it said before is in force.",
        json_schema_extra={
            "values": "a path",
            "remedy": "give inventory a path such as 'hosts.yaml'",
        },
    )
    ssh: Annotated[SSHFields, pydantic.BeforeValidator(arguments_of)] = pydantic.Field(
        default_factory=SSHFields,
        description="How to reach the hosts: an `SSH`.",
        json_schema_extra={
            "values": "an SSH",
            "remedy": "give ssh an SSH, such as SSH(user='ci', keys=['~/.ssh/drydock'], "
            "known_hosts='~/.ssh/known_hosts')",
        },
    )
    limit: int | None = pydantic.Field(  # type: ignore[assignment]
        default=None,
        ge=1,
        le=MOST_HOSTS,
        description="How many hosts may be in use at once. None is all.",
        json_schema_extra=unit("hosts") | EDITABLE,
    )
    min_ready: int | None = pydantic.Field(  # type: ignore[assignment]
        default=None,
        ge=0,
        le=MOST_HOSTS,
        description="How many idle hosts are kept ready, for leases to come. None is all.",
        json_schema_extra=unit("hosts") | EDITABLE,
    )
    idle_timeout: float | None = pydantic.Field(
        default=None,
        ge=0,
        description="How long an idle host is kept ready beyond those. None keeps it.",
        json_schema_extra=unit("seconds") | EDITABLE,
    )
    poll_interval: float = pydantic.Field(
        default=1.0,
        gt=0,
        description="How often the keepers are asked while something is expected to change.",
        json_schema_extra=unit("seconds"),
    )
    sweep_interval: float = pydantic.Field(
        default=10.0,
        gt=0,
        description="How often they are asked otherwise, and whether the inventory has changed.",
        json_schema_extra=unit("seconds"),
    )

    def scheduled(self, entry: Entry | None) -> tuple[int, int]:
        most = MOST_HOSTS if self.limit is None else self.limit
        limit = most if entry is None or entry.limit is None else entry.limit
        wanted = self.min_ready if entry is None or entry.min_ready is None else entry.min_ready
        return limit if wanted is None else wanted, limit

    def conflicts(self) -> Iterator[Conflict]:
        yield from self.conflicts_of_edits()
        yield from self._list_conflicts()

    def conflicts_of_edits(self) -> Iterator[Conflict]:
        min_ready, limit = self.scheduled(None)
        settled = self.model_copy(update={"min_ready": min_ready, "limit": limit})
        yield from super(HostPoolFields, settled).conflicts()
        for field, message in _NOT_FOR_HOSTS.items():
            if field in self.model_fields_set:
                yield Conflict((field,), message, _NOT_FOR_HOSTS_REMEDIES[field])

    def _list_conflicts(self) -> Iterator[Conflict]:
        if not self.hosts and self.inventory is None:
            yield Conflict(
                ("hosts", "inventory"),
                "there are no hosts, and no inventory",
                "give hosts a list such as [Host('build1', address='10.0.0.5')], or inventory a "
                "file such as 'hosts.yaml'",
            )
        field, hosts = "hosts", list(self.hosts)
        if self.inventory is not None:
            field = "inventory"
            try:
                more, problems = hosts_of_file(local_path(self.inventory))
            except FileProblem as problem:
                yield Conflict((field,), f"{self.inventory}: {problem}", problem.remedy)
                return
            for each in problems:
                yield Conflict((field,), f"{self.inventory}: {each.message}", each.remedy)
            hosts += more
        listed = {host.name for host in self.hosts}
        for wrong in hosts_access.problems(hosts, self.ssh):
            own = "hosts" if wrong.host in listed else field
            yield Conflict((own, "ssh"), wrong.sentence(), wrong.remedy)


class HostPool(Definition):
    """Machines that there are already, on a list, reached over SSH. Each is a resource."""

    kind = "hosts"
    fields_class = HostPoolFields
    provider_class = HostProvider

    def __init__(self, name: object = "", *unnamed: object, **arguments: Any) -> None:
        super().__init__(name, *unnamed, **arguments)
        detailed = {
            **self._problems_of_hosts(arguments),
            **self._problems_of_ssh(arguments),
            **self._problems_of_installation(),
        }
        if detailed:
            self._fields = None
            others = [each for each in self.problems if each.field not in detailed]
            self.problems = (*others, *(each for found in detailed.values() for each in found))
        # A configuration is loaded in a thread, where a long list takes nothing from the reactor.
        self._at_first = {} if self.problems else self._hosts_at_first()

    def _problems_of_hosts(self, arguments: dict[str, Any]) -> dict[str, list[Problem]]:
        given = arguments.get("hosts")
        if not isinstance(given, list | tuple):
            return {}
        _, problems = checked(given, self.name)
        return {"hosts": problems} if problems else {}

    def _problems_of_ssh(self, arguments: dict[str, Any]) -> dict[str, list[Problem]]:
        given = arguments_of(arguments.get("ssh"))
        if not isinstance(given, dict):
            return {}
        _, found = examine(SSHFields, given, subject="SSH", name="")
        problems = [
            self.problem("ssh", f"field {each.field!r}: {each.message}", each.remedy)
            for each in found
        ]
        return {"ssh": problems} if problems else {}

    def _problems_of_installation(self) -> dict[str, list[Problem]]:
        if importlib.util.find_spec("asyncssh") is not None:
            return {}
        message = "hosts are reached with the library asyncssh, which is not installed"
        remedy = "run pip install 'buildbot-drydock[ssh]' in the master's environment"
        return {"ssh": [self.problem("ssh", message, remedy)]}

    @property
    def pool_fields(self) -> HostPoolFields:
        fields = self.fields
        assert isinstance(fields, HostPoolFields)
        return fields

    def blueprint(self, now: float, state: BlueprintState | None = None) -> Blueprint:
        entries = self._at_first.values()
        listed = [replace(each.listed, disabled=disabled(each.host, now)) for each in entries]
        return self.with_hosts(super().blueprint(now, state), listed)

    def with_hosts(self, blueprint: Blueprint, hosts: Sequence[ListedHost]) -> Blueprint:
        """There is no use in asking for more hosts than there are."""
        return replace(
            super().with_hosts(blueprint, hosts), min_ready=min(blueprint.min_ready, len(hosts))
        )

    def _hosts_at_first(self) -> HostList:
        """Return the list as it is when the configuration is loaded."""
        fields = self.pool_fields
        path = None if fields.inventory is None else local_path(fields.inventory)
        try:
            return hosts_in_force(fields, path)
        except BrokenList:  # it has changed since it was checked
            return hosts_in_force(fields, None)

    def provider(self, surroundings: Surroundings) -> HostProvider:
        # The library is there only where hosts are reached over SSH.
        from buildbot_drydock.latent.ssh_link import SSHLink
        from buildbot_drydock.remote.ssh.loop import SSHLoop

        fields = self.pool_fields
        loop = SSHLoop(surroundings.reactor)
        loop.start()

        async def stop_loop() -> None:
            await loop.stop()

        def report(event: Any) -> None:
            surroundings.report(self.name, event)

        def make_keeper(entry: HostEntry) -> Keeper:
            def dial(lost: Any) -> Link:
                return SSHLink(
                    loop,
                    entry.way,
                    lost,
                    directory=fields.directory,
                    tunnel_to=address_and_port(fields.ssh.tunnel_to),
                    grace_seconds=fields.stop_grace,
                )

            return Keeper(
                entry.name,
                entry.host.address,
                dial,
                keeper_rules(fields, fields.ssh, surroundings.installation),
                find_interpreter=find_interpreter,
                clock=surroundings.reactor,
                uniform=surroundings.uniform,
                changed=surroundings.wake,
                report=report,
            )

        wanted = wanted_interpreter(fields)

        async def find_interpreter(host: RemoteHost) -> str:
            return await interpreter(host, wanted)

        return HostProvider(
            self._at_first,
            FileSource(fields, surroundings),
            make_keeper,
            clock=surroundings.reactor,
            keep_build_directories=fields.keep_build_directories,
            report=report,
            closing=stop_loop,
        )


class FileSource:
    """The list of hosts, read again when its file has changed."""

    def __init__(self, fields: HostPoolFields, surroundings: Surroundings) -> None:
        self._fields = fields
        self._surroundings = surroundings
        self.path = fields.inventory or ""
        path = os.path.join(surroundings.basedir, os.path.expanduser(self.path))
        self._watched = WatchedFile(Path(path)) if self.path else None

    async def changed(self) -> HostList | None:
        if self._watched is None:
            return None
        reactor, threads = self._surroundings.reactor, self._surroundings.thread_pool
        return await deferToThreadPool(reactor, threads, self._look, self._watched)

    def _look(self, watched: WatchedFile) -> HostList | None:
        return hosts_in_force(self._fields, watched.path) if watched.changed() else None


def hosts_of_file(path: Path) -> tuple[list[HostFields], list[Problem]]:
    """Return the hosts in a file, and what is wrong with others. Raises ``FileProblem``. Blocks."""
    return checked(read(path), "")


def hosts_in_force(fields: HostPoolFields, path: Path | None) -> HostList:
    """Return the hosts of a configuration and of its file. Raises ``BrokenList``. Blocks."""
    hosts = list(fields.hosts)
    if path is not None:
        try:
            more, wrong = hosts_of_file(path)
        except FileProblem as problem:
            raise BrokenList(f"{problem}. Remedy: {problem.remedy}") from None
        if wrong:
            raise BrokenList("; ".join(f"{p.message}. Remedy: {p.remedy}" for p in wrong))
        hosts += more
    found = list(hosts_access.problems(hosts, fields.ssh))
    if found:
        raise BrokenList("; ".join(f"{p.sentence()}. Remedy: {p.remedy}" for p in found))
    by_name = {host.name: host for host in hosts}
    ways = [(host, hosts_access.access_to(host, by_name, fields.ssh)) for host in hosts]
    return host_list(ways, fields.labels)
