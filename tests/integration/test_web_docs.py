"""What docs/api.md says to type works, in that order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock.www import actions, authorizations, entities
from tests.integration.web import ANA, USERS, WebTestCase

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
BASE = "http://localhost:8010/"


def commands(text: str = TEXT) -> list[list[str]]:
    """Return the arguments of each curl in the document, whose other blocks are of ``drydock``."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    found = [
        shlex.split(line)
        for block in blocks
        if not block.startswith("drydock ")
        for line in block.splitlines()
    ]
    assert all(each[0] == "curl" for each in found)
    return [each[1:] for each in found]


class Asked:
    """A curl command, taken apart."""

    def __init__(self, arguments: list[str]) -> None:
        self.cookies = self.logs_in = self.streams = False
        self.body: dict[str, Any] | None = None
        rest = list(arguments)
        while rest[0].startswith("-"):
            match rest.pop(0):
                case "-s":
                    pass
                case "-N":
                    self.streams = True
                case "-b":
                    self.cookies = rest.pop(0) == "cookies"
                case "-c":
                    rest.pop(0)
                case "-u":
                    self.logs_in = rest.pop(0) == f"{ANA}:{USERS[ANA]}"
                case "-H":
                    assert rest.pop(0) == "Content-Type: application/json"
                case "-d":
                    self.body = json.loads(rest.pop(0))
                case odd:
                    raise AssertionError(f"what does curl do with {odd}?")
        (url,) = rest
        assert url.startswith(BASE), url
        self.path = url.removeprefix(BASE)


class ExampleTests(WebTestCase):
    async def test_each_command_works(self) -> None:
        await self.start()
        await self.service.maintenance.disable_host("build1", actor="bo")
        visitor = self.anyone
        seen = 0
        for asked in map(Asked, commands()):
            path = asked.path.removeprefix("api/v2/")
            if asked.logs_in:
                visitor = await self.visitor(ANA)
            elif asked.streams:
                listener = await self.anyone.listen(path.removeprefix("sse/listen/"))
                await listener.close()
            elif asked.body is not None:
                self.assertTrue(asked.cookies)
                call = asked.body
                code, answer = await visitor.act(path, call["method"], **call["params"])
                self.assertEqual(code, 200, (path, call, answer))
                if call["method"] == "request":
                    await self.becomes("drydock_leases/1", status="active")
            else:
                code, answer = await self.anyone.ask(path)
                self.assertEqual(code, 200, (path, answer))
            seen += 1
        self.assertGreater(seen, 12)


class CompletenessTests(SynchronousTestCase):
    def test_each_action_and_its_parameters_are_in_the_table(self) -> None:
        for on in (actions.ON_LEASES, actions.ON_LEASE, actions.ON_RESOURCE, actions.ON_BLUEPRINT):
            for name, action in on.items():
                self.assertIn(f"| `{name}` | ", TEXT)
                for field in action.arguments.model_fields:
                    self.assertIn(f"`{field}`", TEXT)
        for field in authorizations.DecideArguments.model_fields:
            self.assertIn(f"`{field}`", TEXT)
        for name in (*actions.ON_HOST, *authorizations.DrydockAuthorizationsEndpoint.actions):
            self.assertIn(f"| `{name}` | ", TEXT)

    def test_the_fields_that_are_named_are_there(self) -> None:
        example = json.loads(re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)[0])
        self.assertLessEqual(example.keys(), entities.LEASE.fieldNames)
