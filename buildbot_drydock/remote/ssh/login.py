"""The keys to log in with, and those that the machine may show."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssh.failures import LOGGING_IN, nothing_to_log_in_with, unreachable
from buildbot_drydock.remote.ssh.library import asyncssh, get_default_public_key_algs


@dataclass
class Keys:
    """Private keys to offer, in order."""

    pairs: list[asyncssh.SSHKeyPair] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    agent: asyncssh.SSHAgentClient | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(self.names)

    async def close(self) -> None:
        """Let go of the agent."""
        if self.agent is not None:
            self.agent.close()
            await self.agent.wait_closed()


async def load_keys(access: Access) -> Keys:
    """Read the files and ask the agent. Raises ``HostUnreachable`` if there is no key."""
    keys = Keys()
    try:
        await _fill(keys, access)
    except BaseException:
        await keys.close()
        raise
    return keys


async def _fill(keys: Keys, access: Access) -> None:
    agent_path = os.environ.get("SSH_AUTH_SOCK", "") if access.use_agent else ""
    if agent_path:
        await _add_keys_of_agent(keys, agent_path)
    found: list[asyncssh.SSHKeyPair] = []
    names: list[str] = []
    for pair in _given_keys(access):
        found.append(pair)
        names.append(f"a key that is given ({_fingerprint(pair)})")
    for name in access.identity_files:
        for pair in _keys_of_file(access, name, agent_path):
            found.append(pair)
            names.append(f"{name} ({_fingerprint(pair)})")
    keys.pairs[:0] = found
    keys.names[:0] = names
    if not keys.pairs:
        raise nothing_to_log_in_with(access, _why_none(access, agent_path))


def known_hosts(access: Access) -> Any:
    """Return what the library is to compare the host key with. Reads the file anew.

    Never empty: the library would then look into the user's own file.
    """
    if access.known_hosts is not None:
        return asyncssh.read_known_hosts(str(Path(access.known_hosts).expanduser()))
    if access.host_key is not None:
        return ([_public_key("host_key", access.host_key)], [], [])
    assert access.host_authority is not None
    return ([], [_public_key("host_authority", access.host_authority)], [])


def trusted_keys(access: Access, addr: str) -> tuple[Sequence[Any], Sequence[Any]]:
    """Return the host keys and the authorities that are right for a machine at an IP address."""
    port = None if access.port == 22 else access.port
    keys, authorities, *_ = asyncssh.match_known_hosts(
        known_hosts(access), access.address, addr, port
    )
    return keys, authorities


def key_types(access: Access, addr: str) -> Any:
    """Return the types of host keys to ask the machine for; the library's choice if empty.

    One that is unknown is asked for its key, and not for its certificate, as it is the key that is
    shown to somebody who is to compare it.
    """
    keys, authorities = trusted_keys(access, addr)
    if keys or authorities:
        return ()
    return [each.decode("ascii") for each in get_default_public_key_algs()]


def _fingerprint(pair: asyncssh.SSHKeyPair) -> str:
    digest = hashlib.sha256(pair.key_public_data).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _public_key(field_name: str, text: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(text)
    except ValueError as error:
        raise ValueError(
            f"the field {field_name} is no public key ({error}): give it as it is in a .pub file, "
            "such as 'ssh-ed25519 AAAA...'"
        ) from error


def _given_keys(access: Access) -> list[asyncssh.SSHKeyPair]:
    try:
        keys = [asyncssh.import_private_key(text) for text in access.private_keys]
    except ValueError as error:
        raise ValueError(f"the field private_keys has one that is none ({error})") from error
    return list(asyncssh.load_keypairs(keys)) if keys else []


def _keys_of_file(access: Access, name: str, agent_path: str) -> list[asyncssh.SSHKeyPair]:
    try:
        return list(asyncssh.load_keypairs([str(Path(name).expanduser())]))
    except asyncssh.KeyImportError as error:
        if "assphrase" not in str(error):
            raise ValueError(f"the private key {name} can't be read: {error}") from error
        if agent_path:
            return []  # the agent may have it
        raise unreachable(
            access,
            LOGGING_IN,
            f"the private key {name} is locked with a passphrase",
            "load it into an agent that the master can use (SSH_AUTH_SOCK), or give the master "
            "a key of its own",
        ) from error


async def _add_keys_of_agent(keys: Keys, agent_path: str) -> None:
    try:
        keys.agent = await asyncssh.connect_agent(agent_path)
    except OSError:
        return
    if keys.agent is not None:
        for pair in await keys.agent.get_keys():
            keys.pairs.append(pair)
            keys.names.append(f"the agent's {pair.get_comment() or _fingerprint(pair)}")


def _why_none(access: Access, agent_path: str) -> str:
    files = "identity_files is empty"
    if access.identity_files:
        files = "the keys in identity_files are locked with a passphrase"
    if not access.use_agent:
        return f"{files}, and use_agent is off"
    if not agent_path:
        return f"{files}, and SSH_AUTH_SOCK names no agent"
    return f"{files}, and the agent at {agent_path} has none or does not answer"
