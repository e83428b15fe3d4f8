"""The SSH library, or how to install it."""

from __future__ import annotations

try:
    import asyncssh as asyncssh
except ImportError as error:
    raise ImportError(
        "hosts over SSH need the library asyncssh; install it: pip install 'buildbot-drydock[ssh]'"
    ) from error
