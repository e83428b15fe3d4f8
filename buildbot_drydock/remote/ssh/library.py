"""The SSH library, or how to install it."""

from __future__ import annotations

try:
    import asyncssh as asyncssh
    from asyncssh.public_key import get_default_public_key_algs as get_default_public_key_algs
except ImportError as error:
    raise ImportError(
        "hosts over SSH need the library asyncssh; install it: pip install 'buildbot-drydock[ssh]'"
    ) from error
