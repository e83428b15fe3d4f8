"""From the fields of hosts to the ways to reach them, and what is wrong between hosts.

A way goes through jump hosts, which may be listed hosts themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from buildbot_drydock.latent.hosts_fields import HostFields, SSHFields, local_path, parse_jump
from buildbot_drydock.remote.ssh.access import Access


@dataclass(frozen=True, slots=True)
class HostProblem:
    """What is wrong with one host."""

    host: str
    field: str
    message: str
    remedy: str

    def sentence(self) -> str:
        return f"host {self.host!r}, field {self.field!r}: {self.message}"


class JumpLoop(Exception):
    """The way to a host leads through the host itself. The message names the hosts on it."""


def access_to(host: HostFields, hosts: Mapping[str, HostFields], ssh: SSHFields) -> Access:
    """Return the way to a host of a list without problems."""
    through = tuple(
        _single(each, ssh, ()) if isinstance(each, HostFields) else _unlisted(each, host, ssh)
        for each in route(host, hosts, ssh)
    )
    return _single(host, ssh, through)


def route(
    host: HostFields, hosts: Mapping[str, HostFields], ssh: SSHFields
) -> list[HostFields | str]:
    """Return the jump hosts on the way, the nearest to the master first. Raises ``JumpLoop``."""
    return _route(host, hosts, ssh, (host.name,))


def _route(
    host: HostFields, hosts: Mapping[str, HostFields], ssh: SSHFields, seen: tuple[str, ...]
) -> list[HostFields | str]:
    legs: list[HostFields | str] = []
    for number, each in enumerate(_jumps(host, ssh)):
        listed = hosts.get(each)
        if listed is None:
            legs.append(each)
            continue
        if listed.name in seen:
            raise JumpLoop(" -> ".join([*seen, listed.name]))
        if number == 0:  # one after another host is reached from that
            legs.extend(_route(listed, hosts, ssh, (*seen, listed.name)))
        legs.append(listed)
    return legs


def _jumps(host: HostFields, ssh: SSHFields) -> list[str]:
    if host.jump is not None:
        return _parts(host.jump)
    jumps = _parts(ssh.jump or "")
    # What all others go through is itself reached without.
    return [] if host.name in jumps else jumps


def _parts(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _single(host: HostFields, ssh: SSHFields, through: tuple[Access, ...]) -> Access:
    user = host.user or ssh.user
    assert user is not None, host
    return _access(
        host.address, host.port or ssh.port, user, ssh, host_key=host.host_key, jump=through
    )


def _unlisted(text: str, host: HostFields, ssh: SSHFields) -> Access:
    user, address, port = parse_jump(text)
    found = user or ssh.user or host.user
    assert found is not None, text
    return _access(address, port or ssh.port, found, ssh, host_key=None, jump=())


def _access(
    address: str,
    port: int,
    user: str,
    ssh: SSHFields,
    *,
    host_key: str | None,
    jump: tuple[Access, ...],
) -> Access:
    # Of these two, the pool has one at most.
    authority = ssh.host_authority if host_key is None else None
    known_hosts = ssh.known_hosts if host_key is None else None
    return Access(
        address=address,
        user=user,
        port=port,
        identity_files=tuple(str(local_path(each)) for each in ssh.keys),
        use_agent=ssh.agent,
        known_hosts=None if known_hosts is None else str(local_path(known_hosts)),
        host_key=host_key,
        host_authority=authority,
        jump=jump,
        connect_timeout=ssh.connect_timeout,
        keepalive_interval=ssh.keepalive_interval,
        keepalive_count=ssh.keepalive_count,
        most_channels=ssh.most_channels,
    )


# --- what is wrong ------------------------------------------------------------------------------


def problems(hosts: Sequence[HostFields], ssh: SSHFields) -> Iterator[HostProblem]:
    """Yield what is wrong with hosts that are each right by themselves."""
    yield from _same_names(hosts)
    yield from _same_addresses(hosts, ssh)
    by_name = {host.name: host for host in hosts}
    strangers = [host.name for host in hosts if host.user is None and ssh.user is None]
    if strangers:
        yield HostProblem(
            _few(strangers),
            "user",
            "nothing says whom to log in as",
            "give the pool's ssh a user, SSH(user='ci'), or each host its own",
        )
    unverified = [host.name for host in hosts if host.host_key is None and not _verifies(ssh)]
    if unverified:
        yield HostProblem(
            _few(unverified),
            "host_key",
            "there is no way to verify a host key",
            "give the pool's ssh known_hosts or host_authority, or each host its host_key",
        )
    for host in hosts:
        yield from _jump_problems(host, by_name, ssh)


def _few(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _verifies(ssh: SSHFields) -> bool:
    return ssh.known_hosts is not None or ssh.host_authority is not None


def _jump_problems(
    host: HostFields, by_name: Mapping[str, HostFields], ssh: SSHFields
) -> Iterator[HostProblem]:
    try:
        legs = route(host, by_name, ssh)
    except JumpLoop as loop:
        yield HostProblem(
            host.name,
            "jump",
            f"the way to it leads in a circle: {loop}",
            "give one of these hosts another jump, or jump='' if it is reached directly",
        )
        return
    own = (host.address, host.port or ssh.port)
    for each in legs:
        if isinstance(each, HostFields):
            continue
        user, address, port = parse_jump(each)
        if (address, port or ssh.port) == own:
            yield HostProblem(
                host.name,
                "jump",
                f"the way to it leads in a circle: {each} is the host itself",
                "give it another jump, or jump='' if it is reached directly",
            )
        elif not _verifies(ssh):
            yield HostProblem(
                host.name,
                "jump",
                f"there is no way to verify the host key of {each}",
                "list that host, with its host_key, or give the pool's ssh known_hosts or "
                "host_authority",
            )
        elif user is None and ssh.user is None and host.user is None:
            yield HostProblem(
                host.name,
                "jump",
                f"nothing says whom to log in to {each} as",
                f"write 'user@{each}'",
            )


def _same_names(hosts: Sequence[HostFields]) -> Iterator[HostProblem]:
    # Some databases don't tell "Build1" from "build1".
    for name, count in Counter(host.name.casefold() for host in hosts).items():
        if count > 1:
            first = next(host for host in hosts if host.name.casefold() == name)
            yield HostProblem(
                first.name,
                "name",
                f"{count} hosts have this name",
                "give each its own, different in more than upper and lower case",
            )


def _same_addresses(hosts: Sequence[HostFields], ssh: SSHFields) -> Iterator[HostProblem]:
    first: dict[tuple[str, int, str], HostFields] = {}
    for host in hosts:
        port = host.port or ssh.port
        # Behind another jump host one address may be of another machine.
        way = ",".join(_jumps(host, ssh))
        other = first.setdefault((host.address.casefold(), port, way), host)
        if other is not host and other.name.casefold() != host.name.casefold():
            yield HostProblem(
                host.name,
                "address",
                f"host {other.name!r} has {host.address}, port {port}, too: one machine would be "
                "used twice",
                "list each machine once; for several leases at once give it slots",
            )
