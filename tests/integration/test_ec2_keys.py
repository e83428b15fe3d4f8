"""The keys that a master derives for an instance, shown and asked for by a real SSH server."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import asyncssh
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from buildbot_drydock import SSH, EC2Pool
from buildbot_drydock.errors import HostUnreachable
from buildbot_drydock.latent.ec2.pool import Keys, access_to
from buildbot_drydock.remote.ssh.connection import Connection
from buildbot_drydock.remote.ssh.loop import SSHLoop

TOKEN = "drydock-1"


def derive_from(secret: bytes) -> Any:
    return lambda purpose: hmac.digest(secret, purpose.encode(), hashlib.sha256)


class TestKeys(TestCase):
    async def begin(self) -> None:
        self.keys = Keys("aws", derive_from(b"ours"))
        self.loop = SSHLoop(reactor)
        self.loop.start()
        self.addCleanup(self.loop.stop)

        async def listen() -> Any:
            return await asyncssh.listen(
                "127.0.0.1",
                0,
                server_host_keys=[asyncssh.import_private_key(self.keys.host(TOKEN).private)],
                authorized_client_keys=asyncssh.import_authorized_keys(self.keys.login.public),
            )

        async def close(server: Any) -> None:
            server.close()
            await server.wait_closed()

        server = await self.loop.call(listen)
        self.addCleanup(lambda: self.loop.call(close, server))
        self.port = server.get_port()

    async def connect(self, token: str, keys: Keys) -> Connection:
        pool = EC2Pool(
            "aws",
            region="eu-central-1",
            image="ami-01234567",
            instance_types=["m7i.large"],
            ssh=SSH(user="admin", agent=False, port=self.port),
        )
        access = access_to(pool.pool_fields, "i-01234567", token, "127.0.0.1", keys)
        self.assertNotIn("PRIVATE KEY", repr(access))
        connection = Connection(self.loop, access)
        self.addCleanup(connection.close)
        await connection.open()
        return connection

    async def test_any_master_of_the_installation_gets_in_with_nothing_stored(self) -> None:
        await self.begin()
        connection = await self.connect(TOKEN, Keys("aws", derive_from(b"ours")))
        self.assertTrue(connection.is_open)

    async def test_an_instance_that_shows_the_key_of_another_is_refused(self) -> None:
        await self.begin()
        with self.assertRaises(HostUnreachable) as raised:
            await self.connect("drydock-2", self.keys)
        self.assertIn("host key", str(raised.exception))

    async def test_the_master_of_another_installation_or_pool_does_not_get_in(self) -> None:
        await self.begin()
        stranger = Keys("aws", derive_from(b"theirs"))
        for other in (stranger, Keys("other", derive_from(b"ours"))):

            class Mixed(Keys):
                host = self.keys.host  # type: ignore[assignment]
                login = other.login  # type: ignore[assignment]

            with self.assertRaises(HostUnreachable):
                await self.connect(TOKEN, Mixed("aws", derive_from(b"ours")))
