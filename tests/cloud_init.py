"""What an instance makes of its user data: the part of cloud-init that the tests need."""

from __future__ import annotations

import email
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml


@dataclass(kw_only=True)
class Boot:
    """What is to be done on an instance that starts."""

    host_key: str = ""  # private, in OpenSSH's format
    public_host_key: str = ""
    authorized_keys: list[str] = field(default_factory=list)
    boothooks: list[str] = field(default_factory=list)  # scripts that run early, at each boot
    scripts: list[str] = field(default_factory=list)


def boot_of(user_data: str) -> Boot:
    """Read user data, of one part or many. A later part replaces what an earlier one says."""
    boot = Boot()
    for part in _parts(user_data):
        if part.startswith("#cloud-config"):
            _configure(boot, yaml.safe_load(part))
        elif part.startswith("#cloud-boothook"):
            boot.boothooks.append(part.partition("\n")[2])
        elif part.startswith("#!"):
            boot.scripts.append(part)
        elif part:
            raise ValueError(f"no part that is known here: {part[:40]!r}")
    return boot


def _parts(user_data: str) -> Iterator[str]:
    if not user_data.lower().startswith("content-type:"):
        yield user_data
        return
    for part in email.message_from_string(user_data).walk():
        if not part.is_multipart():
            yield str(part.get_payload())


def _configure(boot: Boot, config: dict[str, Any]) -> None:
    keys = config.get("ssh_keys", {})
    boot.host_key = keys.get("ed25519_private", boot.host_key)
    boot.public_host_key = keys.get("ed25519_public", boot.public_host_key)
    boot.authorized_keys = config.get("ssh_authorized_keys", boot.authorized_keys)
