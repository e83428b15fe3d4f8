"""Encryption of all that passes through Systems Manager, which keeps what it is given.

The text of a command and its output can be read for 30 days by whoever may list commands, and a
command carries the environments, inputs and files of a host, passwords of workers among them. So
both ways are encrypted, with a key that only the masters and the instance know. It is what
``openssl enc -aes-256-ctr -pbkdf2`` reads and writes (openssl-enc(1)): ``Salted__``, a salt of 8
bytes, and the rest, by a key and a counter that PBKDF2 makes of the passphrase and the salt. What
it says begins with a word that shows whether the key was the right one.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

ITERATIONS: Final = 10_000
CIPHER: Final = f"aes-256-ctr -md sha256 -pbkdf2 -iter {ITERATIONS}"
MAGIC: Final = b"drydock\n"

_SALTED: Final = b"Salted__"
_SALT_BYTES: Final = 8
_KEY_BYTES, _COUNTER_BYTES = 32, 16


class WrongKey(Exception):
    """What was received was not encrypted with our key, or not all of it has come."""


@dataclass(frozen=True, slots=True)
class Seal:
    """The key of one instance."""

    passphrase: str = field(repr=False)
    random_bytes: Callable[[int], bytes] = field(repr=False)

    def close(self, content: bytes) -> bytes:
        """Return content compressed and encrypted."""
        salt = self.random_bytes(_SALT_BYTES)
        return _SALTED + salt + self._crypt(gzip.compress(MAGIC + content, mtime=0), salt)

    def open(self, sealed: bytes) -> bytes:
        """Return what was encrypted. Raises ``WrongKey``."""
        start = len(_SALTED) + _SALT_BYTES
        if not sealed.startswith(_SALTED) or len(sealed) <= start:
            raise WrongKey("it is not what openssl writes")
        packed = self._crypt(sealed[start:], sealed[len(_SALTED) : start])
        try:
            content = gzip.decompress(packed)
        except (OSError, EOFError, zlib.error) as error:
            raise WrongKey("it cannot be decrypted") from error
        if not content.startswith(MAGIC):
            raise WrongKey("it is not what a master or an instance writes")
        return content[len(MAGIC) :]

    def _crypt(self, content: bytes, salt: bytes) -> bytes:
        # The library is there only where instances are used.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        made = hashlib.pbkdf2_hmac(
            "sha256", self.passphrase.encode(), salt, ITERATIONS, _KEY_BYTES + _COUNTER_BYTES
        )
        mode = modes.CTR(made[_KEY_BYTES:])
        encryptor = Cipher(algorithms.AES(made[:_KEY_BYTES]), mode).encryptor()
        return encryptor.update(content) + encryptor.finalize()
