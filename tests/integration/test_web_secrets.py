"""No secret is in any answer, message or log, wherever a row, a provider or a person put one."""

from __future__ import annotations

import json
from typing import Any

import pydantic
from twisted.python import log
from twisted.trial.unittest import SynchronousTestCase

from buildbot_drydock import buildbot_hooks as hooks
from buildbot_drydock import events
from buildbot_drydock.latent.ec2.pool_fields import EC2PoolFields
from buildbot_drydock.latent.synthetic import SyntheticPool, SyntheticPoolFields
from buildbot_drydock.model import BlueprintState
from buildbot_drydock.store.schema import leases, resources
from buildbot_drydock.www.discretion import HIDDEN, configuration, discreet
from tests.contract.listed_rows import lease_row, resource_row
from tests.integration.web import ANA, Visitor, WebTestCase

CANARY = "cAnArY7f3a"
LEAKY = (
    f"could not fetch https://deploy:{CANARY}@pypi.example.org/simple; export API_TOKEN={CANARY}; "
    f"password: '{CANARY} {CANARY}'\n-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n"
    "-----END OPENSSH PRIVATE KEY-----\n"
)
OBJECT = json.dumps({"note": LEAKY, "db_password": CANARY})


class Inner(pydantic.BaseModel):
    secret: str = ""
    index: str = ""
    odd: Any = None


class LeakyFields(SyntheticPoolFields):
    user_data: str = pydantic.Field(default="", json_schema_extra={"writeOnly": True})
    api_key: str = ""
    inner: Inner = Inner()
    passed_on: dict[str, str] = {}
    wrapped: pydantic.SecretStr = pydantic.SecretStr("")


LEAKY_ARGUMENTS: dict[str, Any] = {
    "user_data": CANARY,
    "api_key": CANARY,
    "inner": Inner(secret=CANARY, index=f"https://u:{CANARY}@pypi.example.org", odd=object()),
    "passed_on": {"admin_password": CANARY},
    "wrapped": pydantic.SecretStr(CANARY),
}


class LeakyPool(SyntheticPool):
    kind = "leaky"
    fields_class = LeakyFields

    def provider(self, surroundings: Any) -> Any:
        return SyntheticPool("x", limit=1).provider(surroundings)


PATHS = [
    *("drydock_blueprints", "drydock_blueprints?field=schema", "drydock_blueprints/linux"),
    *("drydock_blueprints/leaky", "drydock_resources", "drydock_leases", "drydock_events"),
    *("drydock_leases/1", "drydock_resources/1", "drydock_hosts", "application.spec"),
]


class SecretTests(WebTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.blueprints = [*self.blueprints, LeakyPool("leaky", limit=1, **LEAKY_ARGUMENTS)]
        self.logged: list[str] = []

        def observe(event: Any) -> None:
            self.logged.append(log.textFromEventDict(event) or "")

        log.addObserver(observe)
        self.addCleanup(log.removeObserver, observe)

    async def test_no_secret_is_told(self) -> None:
        await self.start()
        listener = await self.anyone.listen("*/*/*")
        await self.plant()
        ana = await self.visitor(ANA)
        number = await self.active_lease(ana)
        for visitor in (self.anyone, ana):
            await self.look_everywhere(visitor)
        for path in ("drydock_blueprints/leaky", "drydock_blueprints/linux"):
            await ana.act(path, "pause", reason=LEAKY)
            await ana.act(path, "resume")
        _, lease = await ana.act(f"drydock_leases/{number}", "release", reason=LEAKY)
        self.nothing_in(json.dumps(lease))
        await listener.wait_for(
            lambda: any(
                key == f"drydock_leases/{number}/update" and message["status"] == "destroyed"
                for key, message in listener.messages
            )
        )
        await listener.heard("drydock_blueprints/linux/update")
        await self.look_everywhere(self.anyone)
        self.nothing_in(listener.text)
        self.nothing_in("\n".join(self.logged))
        self.assertIn("could not fetch https://***@pypi", listener.text)
        await listener.close()

    async def plant(self) -> None:
        """Put a secret wherever one could be."""
        lease = lease_row(1) | {"nonce": CANARY, "status": "destroyed", "reason": LEAKY}
        lease |= {"attributes": OBJECT, "requires": OBJECT, "returns": json.dumps([LEAKY])}
        resource = resource_row(1) | {"status": "destroyed", "data": OBJECT, "reason": LEAKY}
        resource |= {"fault": LEAKY, "labels": OBJECT}

        def insert(connection: Any) -> None:
            connection.execute(leases.insert(), [lease])
            connection.execute(resources.insert(), [resource])

        await self.master.db.pool.do_with_transaction(insert)
        record = events.BlueprintMisconfigured(error=LEAKY)
        for name in ("leaky", "linux"):
            seen = BlueprintState(name=name)
            wanted = BlueprintState(name=name, last_error=LEAKY)
            await self.service.store.change_blueprint(seen, wanted, record)
        await self.service.store.record(events.CallFailed(verb="create", error=LEAKY, failures=1))
        await self.service.maintenance.disable_host("build1", actor="bo", reason=LEAKY)
        self.service.leases._new_nonce = lambda: CANARY
        self.service.people._new_nonce = lambda: CANARY

    async def look_everywhere(self, visitor: Visitor) -> None:
        for path in PATHS:
            code, answer = await visitor.ask(path)
            self.assertEqual(code, 200, (path, answer))
            self.nothing_in(json.dumps(answer))
        living = (await self.service.store.rows()).leases
        secrets = [await hooks.cluster_secret(self.master)]
        secrets += [self.service.password(lease) for lease in living]
        _, answer = await visitor.ask("drydock_leases")
        for secret in secrets:
            self.assertNotIn(secret, json.dumps(answer))

    def nothing_in(self, text: str) -> None:
        at = text.find(CANARY)
        self.assertEqual(at, -1, text[max(0, at - 300) : at + 50])


class DiscretionTests(SynchronousTestCase):
    def test_what_only_may_be_written_is_not_shown(self) -> None:
        values = dict.fromkeys(EC2PoolFields.model_fields) | {"region": "eu-west-1"}
        shown = configuration(EC2PoolFields.model_construct(**{**values, "user_data": CANARY}))
        self.assertNotIn("user_data", shown)
        self.assertNotIn(CANARY, json.dumps(shown))
        self.assertEqual(shown["region"], "eu-west-1")

    def test_other_fields_are_shown_as_they_were_configured(self) -> None:
        shown = configuration(LeakyFields(limit=3, labels={"os": "debian"}, **LEAKY_ARGUMENTS))
        self.assertEqual((shown["limit"], shown["labels"]), (3, {"os": "debian"}))
        self.assertEqual(
            shown["inner"], {"index": f"https://{HIDDEN}@pypi.example.org", "odd": "<object>"}
        )
        self.assertEqual(shown["wrapped"], "<SecretStr>")

    def test_texts_without_secrets_stay_as_they_are(self) -> None:
        for text in (
            "linux is full: 8 of 8 slots leased, limit 4",
            "see https://docs.example.org/a?b=c",
            "drydock-12ab@build1: no route",
            "host key: ssh-ed25519 AAAA",
        ):
            self.assertEqual(discreet(text), text)
