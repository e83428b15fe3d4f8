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
from buildbot_drydock.latent.definition import CommonFields, Definition, Surroundings
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
from buildbot_drydock.latent.interpreter import Interpreter, MakeVenv, interpreter
from buildbot_drydock.latent.inventory_file import FileProblem, WatchedFile, checked, read
from buildbot_drydock.latent.keeper import Keeper, Rules
from buildbot_drydock.latent.links import Link
from buildbot_drydock.latent.problems import Conflict, Problem, examine, unit
from buildbot_drydock.latent.schedule import Entry
from buildbot_drydock.model import Blueprint, BlueprintState, ListedHost

__all__ = ["SSH", "Host", "HostPool", "HostPoolFields"]

MOST_HOSTS: Final = 10_000  # more than any list has; the list itself is what limits
_MEGABYTE: Final = 1_000_000
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


class HostPoolFields(CommonFields):
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
    directory: str = pydantic.Field(
        default="drydock",
        min_length=1,
        pattern=r"^[^\s~'\"$\\-][^\s'\"$\\]*$",
        description="Where Drydock keeps everything on a host, relative to the login's home.",
        json_schema_extra={
            "values": "a path",
            "remedy": "give directory a path without blanks or quotes, such as 'drydock'",
        },
    )
    python: str = pydantic.Field(
        default="python3",
        min_length=1,
        description="The Python of the hosts: it has buildbot-worker, or makes an environment "
        "that has it.",
    )
    make_venv: MakeVenv = pydantic.Field(
        default="if-needed",
        description="Whether to make an environment with buildbot-worker on a host: 'if-needed' "
        "uses an installed one of the master's major version, 'always' never does.",
    )
    worker_version: str | None = pydantic.Field(
        default=None,
        description="Which version of buildbot-worker to install there; the master's if not given.",
    )
    pip_arguments: Annotated[tuple[str, ...], pydantic.BeforeValidator(_sequence)] = pydantic.Field(
        default=(),
        description="More arguments for pip, such as ['--index-url', 'https://pypi.example.org'].",
        json_schema_extra={
            "values": "a list of texts",
            "remedy": "give pip_arguments a list of texts",
        },
    )
    keep_build_directories: bool = pydantic.Field(
        default=True,
        description="Whether the next lease of a slot finds the build directories of the last.",
    )
    stop_grace: float = pydantic.Field(
        default=5.0,
        ge=0,
        description="How long processes may take to end when asked, before they are killed.",
        json_schema_extra=unit("seconds"),
    )
    lost_after: float = pydantic.Field(
        default=60.0,
        gt=0,
        description="How long a host may be silent, until what was leased on it is lost.",
        json_schema_extra=unit("seconds"),
    )
    probe_interval: float = pydantic.Field(
        default=60.0,
        gt=0,
        description="How often a host is looked at while all is well. A connection that is lost "
        "is noticed sooner: see keepalive_interval of SSH.",
        json_schema_extra=unit("seconds"),
    )
    min_free_disk: float = pydantic.Field(
        default=500.0,
        ge=0,
        description="A host with less free space in its directory takes no new leases.",
        json_schema_extra=unit("MB"),
    )
    limit: int | None = pydantic.Field(  # type: ignore[assignment]
        default=None,
        ge=1,
        description="How many hosts may be in use at once. None is all.",
        json_schema_extra=unit("hosts"),
    )
    min_ready: int | None = pydantic.Field(  # type: ignore[assignment]
        default=None,
        ge=0,
        description="How many idle hosts are kept ready, for leases to come. None is all.",
        json_schema_extra=unit("hosts"),
    )
    idle_timeout: float | None = pydantic.Field(
        default=None,
        ge=0,
        description="How long an idle host is kept ready beyond those. None keeps it.",
        json_schema_extra=unit("seconds"),
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
        min_ready, limit = self.scheduled(None)
        settled = self.model_copy(update={"min_ready": min_ready, "limit": limit})
        yield from super(HostPoolFields, settled).conflicts()
        for field, message in _NOT_FOR_HOSTS.items():
            if field in self.model_fields_set:
                yield Conflict((field,), message, _NOT_FOR_HOSTS_REMEDIES[field])
        yield from self._list_conflicts()

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
                    tunnel_to=_address_and_port(fields.ssh.tunnel_to),
                    grace_seconds=fields.stop_grace,
                )

            return Keeper(
                entry.name,
                entry.host.address,
                dial,
                _rules(fields, surroundings.installation),
                find_interpreter=find_interpreter,
                clock=surroundings.reactor,
                uniform=surroundings.uniform,
                changed=surroundings.wake,
                report=report,
            )

        wanted = _interpreter(fields)

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


def _rules(fields: HostPoolFields, installation: str) -> Rules:
    return Rules(
        installation=installation,
        directory=fields.directory,
        keep_build_directories=fields.keep_build_directories,
        tunnels=fields.ssh.tunnel_to is not None,
        boot_timeout=fields.boot_timeout,
        lost_after=fields.lost_after,
        probe_interval=fields.probe_interval,
        min_free_bytes=int(fields.min_free_disk * _MEGABYTE),
    )


def _interpreter(fields: HostPoolFields) -> Interpreter:
    wanted = Interpreter(
        python=fields.python,
        make_venv=fields.make_venv,
        pip_arguments=fields.pip_arguments,
        make_timeout=min(Interpreter.make_timeout, fields.boot_timeout),
    )
    if fields.worker_version is None:
        return wanted
    return replace(wanted, worker_version=fields.worker_version)


def _address_and_port(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)
