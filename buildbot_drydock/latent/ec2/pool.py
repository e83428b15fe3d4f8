"""``EC2Pool``: instances of Amazon EC2, on demand or spot."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from buildbot_drydock.errors import HostError, Misconfigured
from buildbot_drydock.interfaces import Host as RemoteHost
from buildbot_drydock.latent import hosts_access
from buildbot_drydock.latent.definition import Definition, Surroundings
from buildbot_drydock.latent.ec2 import userdata
from buildbot_drydock.latent.ec2.candidates import Shortages
from buildbot_drydock.latent.ec2.fields import (
    SSM,
    Image,
    LaunchTemplate,
    Spot,
    SSMParameter,
    Volume,
)
from buildbot_drydock.latent.ec2.images import Images
from buildbot_drydock.latent.ec2.interruption_queue import InterruptionQueue
from buildbot_drydock.latent.ec2.interruptions import Notices
from buildbot_drydock.latent.ec2.keeping import Expectations, MakeKeeper, Report
from buildbot_drydock.latent.ec2.keys import KeyPair, key_pair
from buildbot_drydock.latent.ec2.launch_templates import LaunchTemplates
from buildbot_drydock.latent.ec2.launching import Launcher
from buildbot_drydock.latent.ec2.orders import Orders
from buildbot_drydock.latent.ec2.parking import Parking
from buildbot_drydock.latent.ec2.pool_fields import EC2PoolFields
from buildbot_drydock.latent.ec2.prices import Prices
from buildbot_drydock.latent.ec2.provider import EC2Provider, Rules
from buildbot_drydock.latent.ec2.requests import Pool, Settings
from buildbot_drydock.latent.ec2.scheduled_events import ScheduledEvents
from buildbot_drydock.latent.ec2.subnets import Subnets
from buildbot_drydock.latent.hosts_fields import HostFields
from buildbot_drydock.latent.interpreter import interpreter
from buildbot_drydock.latent.keeper import Keeper
from buildbot_drydock.latent.links import Link
from buildbot_drydock.latent.parking_fields import with_parking
from buildbot_drydock.latent.problems import Problem
from buildbot_drydock.latent.ssh_pool import address_and_port, keeper_rules
from buildbot_drydock.latent.worker_host import wanted_interpreter
from buildbot_drydock.model import Blueprint, BlueprintState
from buildbot_drydock.remote.ssh.access import Access
from buildbot_drydock.remote.ssm.delivery import PLACE

if TYPE_CHECKING:
    from buildbot_drydock.latent.ec2.account import Credentials

__all__ = ["SSM", "EC2Pool", "Image", "LaunchTemplate", "SSMParameter", "Spot", "Volume"]

_LIBRARIES: Final = ("boto3", "asyncssh")


class EC2Pool(Definition):
    """Instances of Amazon EC2, launched when a lease needs one; terminated, or parked, when none does."""

    kind = "ec2"
    fields_class = EC2PoolFields
    provider_class = EC2Provider

    def __init__(self, name: object = "", *unnamed: object, **arguments: Any) -> None:
        super().__init__(name, *unnamed, **arguments)
        self.problems = (*self.problems, *self._problems_of_installation())

    def _problems_of_installation(self) -> list[Problem]:
        missing = [each for each in _LIBRARIES if importlib.util.find_spec(each) is None]
        if not missing:
            return []
        message = f"EC2 is used with the library {' and '.join(missing)}, which is not installed"
        remedy = "run pip install 'buildbot-drydock[aws]' in the master's environment"
        return [self.problem("region", message, remedy)]

    def blueprint(self, now: float, state: BlueprintState | None = None) -> Blueprint:
        return with_parking(super().blueprint(now, state), self.pool_fields)

    @property
    def pool_fields(self) -> EC2PoolFields:
        fields = self.fields
        assert isinstance(fields, EC2PoolFields)
        return fields

    def provider(self, surroundings: Surroundings) -> EC2Provider:
        if self.pool_fields.reach == "ssm":
            return self.provider_with(surroundings, self.keepers_over_ssm(surroundings))
        # The libraries are there only where hosts are reached over SSH, or launched in EC2.
        from buildbot_drydock.remote.ssh.loop import SSHLoop

        loop = SSHLoop(surroundings.reactor)
        loop.start()

        async def stop_loop() -> None:
            await loop.stop()

        make_keeper = keepers_over_ssh(self.name, self.pool_fields, surroundings, loop)
        return self.provider_with(surroundings, make_keeper, stop_loop)

    def keepers_over_ssm(self, surroundings: Surroundings, pauses: Any = None) -> MakeKeeper:
        """Return what makes keepers over SSM, with other pauses if a test wants that."""
        from buildbot_drydock.latent.ec2.ssm import keepers_over_ssm

        fields = self.pool_fields
        pool = Pool(installation=surroundings.installation, blueprint=self.name)
        credentials = credentials_of(fields)
        keys = Keys(self.name, surroundings.derive)
        return keepers_over_ssm(fields, pool, credentials, surroundings, keys.ssm, pauses=pauses)

    def provider_with(
        self, surroundings: Surroundings, make_keeper: MakeKeeper, closing: Any = None
    ) -> EC2Provider:
        """Return the provider, with other keepers than those over SSH if a test wants that."""
        from buildbot_drydock.latent.ec2.account import Account, shared_pace

        fields = self.pool_fields
        clock = surroundings.reactor
        pool = Pool(installation=surroundings.installation, blueprint=self.name)
        credentials = credentials_of(fields)
        account = Account(
            surroundings.reactor,
            surroundings.thread_pool,
            credentials,
            shared_pace(clock, credentials),
            clock=clock,
            uniform=surroundings.uniform,
        )
        images = Images(account, fields.image, clock)
        keys = Keys(self.name, surroundings.derive)
        settings = settings_of(fields)
        templates = LaunchTemplates(account, pool, settings.launch_template, clock)
        orders = Orders(
            account,
            pool,
            settings,
            images,
            templates,
            Subnets(account, fields.subnets),
            lambda token: user_data_of(fields, pool, token, keys),
            region=fields.region,
            by_fleet=fields.by_fleet,
        )
        shortages = Shortages(clock, surroundings.uniform)
        launcher = Launcher(
            account,
            pool,
            orders,
            shortages,
            listing_delay=fields.listing_delay,
            clock=clock,
        )
        rules = Rules(
            pool=pool,
            expected=Expectations(boot_timeout=fields.boot_timeout, reach=fields.address_kind),
            sign_interval=fields.sign_interval,
            keep_build_directories=fields.keep_build_directories,
        )
        spot = fields.spot
        queues: list[InterruptionQueue] = []

        async def close() -> None:
            for each in queues:
                each.stop()
            if closing is not None:
                await closing()

        provider = EC2Provider(
            account,
            launcher,
            images,
            rules,
            fields.candidates,
            make_keeper,
            parking=Parking(
                account,
                shortages,
                fields.all_candidates,
                hibernates=fields.park == "hibernate",
            ),
            prices=Prices(
                account, fields.prices, fields.all_candidates, clock, max_price=settings.max_price
            ),
            notices=Notices(heeds_rebalance=spot is not None and spot.rebalance == "drain"),
            scheduled=ScheduledEvents(account, clock),
            templates=templates if fields.by_fleet else None,
            clock=clock,
            report=lambda event: surroundings.report(self.name, event),
            wake=surroundings.wake,
            closing=close,
        )
        if spot is not None and spot.interruption_queue is not None:
            queue = InterruptionQueue(
                account,
                spot.interruption_queue,
                name=self.name,
                is_ours=provider.is_listed,
                hear=provider.hear,
                call_in_reactor=surroundings.reactor.callFromThread,
                clock=clock,
            )
            queue.start()
            queues.append(queue)
        return provider


class Keys:
    """The keys of a pool, which every master can tell without having them stored."""

    def __init__(self, blueprint: str, derive: Callable[[str], bytes]) -> None:
        self._blueprint = blueprint
        self._derive = derive

    @property
    def login(self) -> KeyPair:
        """What the masters log in with."""
        return key_pair(self._derive(f"ec2 login {self._blueprint}"))

    def host(self, token: str) -> KeyPair:
        """What the instance of a token shows."""
        return key_pair(self._derive(f"ec2 host {self._blueprint} {token}"))

    def ssm(self, token: str) -> str:
        """What the instance of a token decrypts with what comes over Systems Manager."""
        return self._derive(f"ec2 ssm {self._blueprint} {token}").hex()


def credentials_of(fields: EC2PoolFields) -> Credentials:
    from buildbot_drydock.latent.ec2.account import Credentials

    return Credentials(
        region=fields.region,
        profile=fields.profile,
        role_arn=fields.role_arn,
        external_id=fields.external_id,
        endpoint_url=fields.endpoint_url,
    )


def settings_of(fields: EC2PoolFields) -> Settings:
    template = fields.launch_template
    return Settings(
        launch_template=None if template is None else template.specification,
        places_are_zones=bool(fields.zones),
        volumes=fields.volumes,
        encrypted=fields.encrypted,
        instance_profile=fields.instance_profile,
        security_groups=fields.security_groups,
        key_name=fields.key_name,
        tags=fields.tags,
        require_imdsv2=fields.imdsv2 == "required",
        metadata_hops=fields.metadata_hops,
        associate_public_ip=fields.associate_public_ip,
        max_price=None if fields.spot is None else fields.spot.max_price,
        hibernates=fields.park == "hibernate",
        strategy="" if fields.spot is None else fields.spot.strategy,
    )


def user_data_of(fields: EC2PoolFields, pool: Pool, token: str, keys: Keys) -> str:
    """Return the whole user data. Raises ``Misconfigured`` if that is more than EC2 takes."""
    parts = []
    if fields.user_data:
        values = {
            "TOKEN": token,
            "BLUEPRINT": pool.blueprint,
            "INSTALLATION": pool.installation,
            "REGION": fields.region,
        }
        parts.append(userdata.filled(fields.user_data, values))
    if fields.reach == "ssm":
        parts.append(userdata.ssm_key(f"/{PLACE}", keys.ssm(token)))
    else:
        parts.append(userdata.cloud_config(keys.host(token), (keys.login.public,)))
    if fields.dead_man_hours is not None:
        parts.append(userdata.watchdog(fields.user, fields.dead_man_hours))
    text = userdata.user_data(parts)
    if len(text.encode()) > userdata.MOST_BYTES:
        raise Misconfigured(
            f"the user data has {len(text.encode())} bytes, and EC2 takes {userdata.MOST_BYTES}. "
            "Remedy: let user_data fetch what it needs"
        )
    return text


def access_to(fields: EC2PoolFields, number: str, token: str, address: str, keys: Keys) -> Access:
    """Return the way to an instance, with the host key that it was given."""
    host = HostFields(name=number, address=address, host_key=keys.host(token).public)
    access = hosts_access.access_to(host, {}, fields.ssh)
    return replace(access, private_keys=(keys.login.private,))


def keepers_over_ssh(
    name: str, fields: EC2PoolFields, surroundings: Surroundings, loop: Any
) -> MakeKeeper:
    """Return what makes the keepers of a pool's instances."""
    from buildbot_drydock.latent.ssh_link import SSHLink

    keys = Keys(name, surroundings.derive)
    wanted = wanted_interpreter(fields)

    async def find_interpreter(host: RemoteHost) -> str:
        return await interpreter(host, wanted)

    def make(number: str, token: str, address: str, report: Report) -> Keeper:
        access = access_to(fields, number, token, address, keys)

        def dial(lost: Callable[[HostError], None]) -> Link:
            return SSHLink(
                loop,
                access,
                lost,
                directory=fields.directory,
                tunnel_to=address_and_port(fields.ssh.tunnel_to),
                grace_seconds=fields.stop_grace,
            )

        return Keeper(
            number,
            address,
            dial,
            keeper_rules(fields, fields.ssh, surroundings.installation),
            find_interpreter=find_interpreter,
            clock=surroundings.reactor,
            uniform=surroundings.uniform,
            changed=surroundings.wake,
            report=report,
        )

    return make
