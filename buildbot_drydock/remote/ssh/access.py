"""How to reach one machine, and how to know that it is the right one."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The way to one machine: an address, a user, keys, and what its host key must be.

    The host key is always verified, by exactly one of *known_hosts* (a file in OpenSSH's format,
    read again at each connect), *host_key* (the pinned public key, ``ssh-ed25519 AAAA...``) and
    *host_authority* (the public key of the authority that signed the host's certificate). Nothing
    is taken from the user's own configuration or keys: what is not named here is not used.

    Raises ``ValueError`` that names the field and the remedy.
    """

    address: str  # a name or an IP address
    user: str
    port: int = 22
    identity_files: tuple[str, ...] = ()  # private keys, tried in order; "~" is the master's home
    # Private keys themselves, in OpenSSH's format, tried before the files.
    private_keys: tuple[str, ...] = field(default=(), repr=False)
    use_agent: bool = True  # keys of the agent at SSH_AUTH_SOCK, after the files
    known_hosts: str | None = None
    host_key: str | None = None
    host_authority: str | None = None
    jump: tuple[Access, ...] = ()  # machines to go through, the nearest to the master first
    connect_timeout: float = 15.0  # seconds to connect, and again as many to log in
    keepalive_interval: float = 5.0  # seconds without a sign of life before one is asked for
    keepalive_count: int = 3  # how many such questions may stay unanswered
    most_channels: int = 8  # at once; MaxSessions of OpenSSH's server is 10

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ValueError(problem)

    @property
    def shown(self) -> str:
        """Return it as a message names it: ``user@address``, with a port that is not the usual."""
        port = "" if self.port == 22 else f":{self.port}"
        address = f"[{self.address}]" if ":" in self.address and port else self.address
        return f"{self.user}@{address}{port}"

    @property
    def host_key_source(self) -> str:
        """Return where the right host key is written down, for a message that says what to mend."""
        if self.known_hosts is not None:
            return f"the file {self.known_hosts}"
        return "the field host_key" if self.host_key is not None else "the field host_authority"

    def _problems(self) -> list[str]:
        problems = []
        if not self.address or not self.user:
            problems.append("give address and user, such as address='build1', user='buildbot'")
        if not 0 < self.port < 65536:
            problems.append(f"port is {self.port}; give a port from 1 to 65535")
        if [self.known_hosts, self.host_key, self.host_authority].count(None) != 2:
            problems.append(
                "give exactly one of known_hosts (a file), host_key (a pinned public key) and "
                "host_authority (an authority's public key); a host key is always verified"
            )
        if self.known_hosts == "" or self.host_key == "" or self.host_authority == "":
            problems.append("known_hosts, host_key and host_authority can't be empty")
        for name in ("connect_timeout", "keepalive_interval", "keepalive_count", "most_channels"):
            if getattr(self, name) <= 0:
                problems.append(f"{name} is {getattr(self, name)}; give it more than 0")
        if any(each.jump for each in self.jump):
            problems.append("a jump host has jump hosts of its own; list them all in one jump")
        return problems
