"""What the SSH library, the network and the machine report, as errors that say what to do."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from typing import Final

from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.remote.shell.failures import remedy_for, said_text
from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssh.library import asyncssh

RESOLVING: Final = "resolving its name"
CONNECTING: Final = "connecting"
GREETING: Final = "waiting for its SSH server to answer"
VERIFYING: Final = "verifying its host key"
LOGGING_IN: Final = "logging in"
OPENING: Final = "opening a session"
CONNECTED: Final = "connected"

_SHOWN: Final = 500  # characters of what a server said, in an error

_NETWORK_REMEDIES: Final = {
    errno.ECONNREFUSED: "see whether its SSH server runs, and on which port",
    errno.EHOSTUNREACH: "see whether it is switched on, and whether the network leads there",
    errno.ENETUNREACH: "see whether the network leads there",
    errno.ETIMEDOUT: "see whether it is switched on, and whether a firewall is in between",
    errno.ECONNRESET: "see the log of its SSH server",
}

_LOCKED: Final = re.compile(r"locked|expired|not available|disabled", re.IGNORECASE)


def unreachable(access: Access, phase: str, reason: str, remedy: str) -> HostUnreachable:
    """Return the error for a machine that could not be used, and how far that got."""
    return HostUnreachable(
        f"{access.shown}: {phase}: {reason}; {remedy}", phase=phase, reason=reason, remedy=remedy
    )


def refusing(access: Access, phase: str, reason: str, remedy: str) -> HostUnreachable:
    """Likewise, for what somebody has to mend before another attempt can fare better."""
    error = unreachable(access, phase, reason, remedy)
    error.lasting = True
    return error


def not_connected(access: Access, phase: str, error: BaseException) -> HostUnreachable:
    """Translate what went wrong while a connection was opened."""
    if isinstance(error, HostUnreachable):
        return error
    if isinstance(error, socket.gaierror):
        remedy = f"see whether the name {access.address!r} is right, and known to the resolver"
        return unreachable(access, RESOLVING, error.strerror or str(error), remedy)
    if isinstance(error, asyncio.TimeoutError | asyncio.CancelledError):
        return _timed_out(access, phase)
    if isinstance(error, OSError):
        return _network(access, phase, error)
    if isinstance(error, asyncssh.KeyExchangeFailed):
        remedy = (
            f"see whether {access.host_key_source} has a key of a type that the server has, "
            "and whether the server is much older than the master"
        )
        return refusing(access, VERIFYING, str(error), remedy)
    if isinstance(error, asyncssh.PermissionDenied):
        return refusing(access, LOGGING_IN, str(error), "see the log of its SSH server")
    if isinstance(error, asyncssh.ChannelOpenError):
        remedy = (
            "see whether the jump host can reach it, and allows forwarding (AllowTcpForwarding)"
        )
        return unreachable(access, CONNECTING, str(error), remedy)
    if isinstance(error, ValueError):  # a key or a file that can't be read
        return refusing(access, phase, str(error), "mend the file or the field")
    if phase in (GREETING, VERIFYING):
        remedy = (
            "see the log of its SSH server: it may be overloaded (MaxStartups), or out of "
            "processes or memory; or another program answers on that port"
        )
        return unreachable(access, phase, _said(error), remedy)
    return unreachable(access, phase, _said(error), "see the log of its SSH server")


def host_key_refused(
    access: Access, *, seen: str, expected: tuple[str, ...], reason: str
) -> HostUnreachable:
    """Say which host key was seen, which was expected, and where that is written down."""
    where = access.host_key_source
    if expected:
        said = f"it has the host key {seen}, and {where} says {' or '.join(expected)}"
        remedy = (
            f"find out why: a machine installed anew has a new key, and then {where} is to be "
            "mended; otherwise somebody may be listening in"
        )
    elif access.host_authority is not None:
        said = f"its host key {seen} is not certified by the authority in {where} ({reason})"
        remedy = "have its host key signed by that authority, or name the right authority"
    else:
        said = f"its host key {seen} is unknown: {where} has no entry for {_entry(access)}"
        remedy = "compare the key with the machine's own (ssh-keygen -lf), and add it there"
    return refusing(access, VERIFYING, said, remedy)


def login_refused(access: Access, *, offered: tuple[str, ...], banner: str) -> HostUnreachable:
    """Say who was refused, with which keys."""
    reason = f"the user {access.user} was refused with {', '.join(offered)}"
    if banner:
        reason = f"{reason}; the server says: {banner.strip()[:_SHOWN]}"
    remedy = (
        f"add a public key of these to ~{access.user}/.ssh/authorized_keys there, and see whether "
        "the account exists, is not locked or expired, and may log in (the server's log tells)"
    )
    return refusing(access, LOGGING_IN, reason, remedy)


def nothing_to_log_in_with(access: Access, reason: str) -> HostUnreachable:
    """Say that there is no key at all."""
    remedy = (
        "name a private key in identity_files, or start the master with an agent (SSH_AUTH_SOCK)"
    )
    return refusing(access, LOGGING_IN, f"there is no key to log in with: {reason}", remedy)


def connection_lost(access: Access, error: BaseException | None) -> HostUnreachable:
    """Translate the end of a connection that was open."""
    seconds = access.keepalive_interval * (access.keepalive_count + 1)
    if error is not None and "keepalive" in str(error):
        reason = f"it gave no sign of life for {seconds:g} s"
        remedy = "see whether it is switched on, hangs, or is cut off from the network"
    else:
        reason = f"the connection was lost ({_said(error)})" if error else "it hung up"
        remedy = "see whether it is restarting, or somebody ended its SSH server"
    return unreachable(access, CONNECTED, reason, remedy)


def no_session(access: Access, error: BaseException) -> HostUnreachable:
    """Translate a session that could not be opened on an open connection."""
    if isinstance(error, asyncssh.ChannelOpenError) and "connection closed" not in str(error):
        remedy = (
            f"it allows fewer sessions than {access.most_channels} at once, or can't start "
            "processes: lower most_channels, raise MaxSessions in its sshd_config, or see "
            "whether its process table is full"
        )
        return unreachable(access, OPENING, _said(error), remedy)
    return connection_lost(access, error)


def shell_did_not_run(access: Access, exit_code: int | None, said: bytes) -> HostUnreachable:
    """Say that the login shell did not run what it was given."""
    text = said_text(said)
    if _LOCKED.search(text):
        remedy = f"unlock the account, or give {access.user} a shell such as /bin/sh"
    else:
        remedy = remedy_for(text) or (
            f"see what happens on 'ssh {access.shown} true': the account may have no shell, "
            "or a forced command"
        )
    return unreachable(
        access, OPENING, f"its login shell ended with {exit_code}, saying: {text}", remedy
    )


def _timed_out(access: Access, phase: str) -> HostUnreachable:
    reason = f"no answer for {access.connect_timeout:g} s"
    if phase == CONNECTING:
        remedy = _NETWORK_REMEDIES[errno.ETIMEDOUT]
    elif phase == RESOLVING:
        remedy = "see whether the master's name servers answer"
    else:
        remedy = "it accepts connections and does not speak: see whether it hangs or is overloaded"
    return unreachable(access, phase, reason, remedy)


def _network(access: Access, phase: str, error: OSError) -> HostUnreachable:
    number = error.errno or 0
    remedy = _NETWORK_REMEDIES.get(number, "see whether the address is right and the machine runs")
    reason = error.strerror or _said(error)
    if error.filename:
        reason, remedy = f"{reason}: {error.filename}", "see whether the file is there and readable"
    return unreachable(access, phase, reason, remedy)


def _entry(access: Access) -> str:
    return access.address if access.port == 22 else f"[{access.address}]:{access.port}"


def _said(error: BaseException | None) -> str:
    return str(error) or type(error).__name__
