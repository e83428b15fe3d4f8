"""SSH keys that all masters of an installation can tell, and nobody has to store.

A key is made from a seed of 32 bytes, and is the same to the last byte each time: it is part of a
request that must not change when it is repeated.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
from dataclasses import dataclass, field
from typing import Final

_TYPE: Final = b"ssh-ed25519"
_MAGIC: Final = b"openssh-key-v1\0"
_BLOCK: Final = 8  # what an unencrypted private part is padded to


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key."""

    public: str  # as in a .pub file, without a comment
    private: str = field(repr=False)  # in OpenSSH's format


def key_pair(seed: bytes) -> KeyPair:
    """Return the key of a seed. Raises ``ValueError`` if that has not 32 bytes."""
    # The library is there only where hosts are reached over SSH.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    blob = _text(_TYPE) + _text(public)
    return KeyPair(
        public=f"{_TYPE.decode()} {base64.b64encode(blob).decode()}",
        private=_private(seed, public, blob),
    )


def _private(seed: bytes, public: bytes, blob: bytes) -> str:
    """Write it as PROTOCOL.key of OpenSSH has it, with a check number that is not random."""
    check = hashlib.sha256(b"check" + public).digest()[:4]
    secret = check + check + blob + _text(seed + public) + _text(b"")
    secret += bytes(range(1, _BLOCK - len(secret) % _BLOCK + 1)) if len(secret) % _BLOCK else b""
    none = _text(b"none")
    content = _MAGIC + none + none + _text(b"") + (1).to_bytes(4, "big") + _text(blob)
    body = textwrap.fill(base64.b64encode(content + _text(secret)).decode(), 70)
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n"


def _text(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content
