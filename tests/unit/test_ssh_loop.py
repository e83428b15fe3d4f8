"""The thread in which SSH is spoken, without any SSH."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from buildbot_drydock.remote.ssh.loop import SSHLoop

MANY = 50


class SSHLoopTests(TestCase):
    def setUp(self) -> None:
        self.ssh = SSHLoop(reactor)
        self.ssh.start()
        self.addCleanup(self.ssh.stop)
        self.wakes = 0
        loop = self.ssh._loop
        assert loop is not None
        wake = loop.call_soon_threadsafe

        def count(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
            self.wakes += 1
            return wake(function, *arguments, **options)

        self.patch(loop, "call_soon_threadsafe", count)

    async def test_many_calls_at_once_wake_the_thread_once_and_keep_their_order(self) -> None:
        begun: list[int] = []

        async def call(number: int) -> int:
            begun.append(number)
            return number

        holding, go_on = threading.Event(), threading.Event()

        async def hold() -> None:
            holding.set()
            go_on.wait()

        held = self.ssh.call(hold)
        await deferToThread(holding.wait)
        self.wakes = 0
        calls = [self.ssh.call(call, number) for number in range(MANY)]
        go_on.set()
        await held
        self.assertEqual(await gatherResults(calls), list(range(MANY)))
        self.assertEqual(begun, list(range(MANY)))
        self.assertEqual(self.wakes, 1)

    async def test_each_call_is_made_although_they_come_one_by_one(self) -> None:
        for number in range(MANY):
            self.assertEqual(await self.ssh.call(self._echo, number), number)

    async def test_a_call_that_is_cancelled_at_once_ends(self) -> None:
        ended: list[str] = []

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("ended")

        call = self.ssh.call(wait)
        call.cancel()
        await self.assertFailure(call, CancelledError)
        await self.ssh.stop()
        self.assertIn(ended, ([], ["ended"]))  # it may not have begun

    async def test_a_call_that_fails_stops_no_other(self) -> None:
        async def fail() -> None:
            raise ValueError("on purpose")

        failing, echoed = self.ssh.call(fail), self.ssh.call(self._echo, 1)
        await self.assertFailure(failing, ValueError)
        self.assertEqual(await echoed, 1)

    async def _echo(self, number: int) -> int:
        return number
