"""EC2 as it is documented to behave, on a port of 127.0.0.1, for tests.

moto answers what it answers well (images, subnets, groups, key pairs, launch templates, volumes,
tags, SSM parameters, SQS, EventBridge); instances, fleets and Spot are this package's own. The
server runs in a thread of the test's process, so that a test talks to it by plain calls, while
clients, in this process or another, reach it by HTTP::

    from tests.ec2 import EC2Server, faults

    with EC2Server() as server:
        ec2 = server.client("ec2")            # boto3; attempts=1 unless told otherwise
        os.environ | server.environment()     # for another process: AWS_ENDPOINT_URL and so on
        server.faults.next("RunInstances", faults.reply_lost())
        server.advance(60)                    # time stands still but for this
        assert server.inspector.living == []

Any number of servers can run at once; each has an account of its own. `real_time_server()` is one
whose clock is the time of day.

**Time.** `server.timings` (`Timings`, may be changed at any time) says how long `pending`,
`status_checks`, `stopping`, `shutting_down`, `listing_lag` (and `listing_lag_calls`), `tag_lag`,
`template_lag`, `terminated_listed`, `spot_relaunch` and `token_kept` take. All but the last three
are 0: a change shows in the call after the one that began it. `server.advance(seconds)` moves a
`ScriptedClock` and does in order what is due on the way; `server.settle()` does what is due now. Any object with
`seconds()` is a clock too, a Twisted reactor for one; what is due then is looked for 20 times a
second.

**What there is.** `server.catalogue`: `newest_image`, `images`, `arm_image`, `parameter` (an SSM
parameter with the newest image), `subnets()` by zone, `default_group()`, and `add_image`,
`remove_image`, `set_parameter`, `add_subnet`, `add_group`, `add_key_pair`, `add_instance_profile`,
`add_queue` (SQS, with an EventBridge rule for EC2's warnings).

**The market.** `server.capacity.set(n, instance_type=, zone=, market=)` with `*` patterns,
`.withdraw(type, zone)` (`Unsupported`), `.clear()`; `server.quotas.on_demand_cores`, `.spot_cores`,
`.instances`; `server.prices.set_spot(price, instance_type=, zone=, at=)`, `.on_demand[type]`.

**Faults.** `server.faults.next(actions, fault, calls=, skip=)`, `.always(actions, fault)`,
`.sometimes(actions, fault, probability=)` (seeded), `.clear()`, `.paused()`; faults are made in module `faults`:
`throttled`, `throttling`, `request_expired`, `expired_token`, `auth_failure`, `internal_error`,
`unavailable`, `no_capacity`, `error(code, message, status=)`, `connection_reset`, `reply_lost`,
`garbage`, `slow(seconds)`, `held(gate)`, `appears_late(seconds)`. They strike before the work is
done, or after it with `after_work=True`. `server.permissions.denied` is a set of action patterns
(`UnauthorizedOperation`), `.expired_keys` a set of access keys (`RequestExpired`).

**Events.** `server.interrupt(id, notice=120)` (0: without notice), `recommend_rebalance(id)`,
`schedule_event(id, code, not_before=, not_after=, deadline=, description=)` (times of the server's
clock; what it returns has `end("Canceled")`), `shut_down_from_inside(id)`,
`fail_next_boot(reason)`, `make_twin(id)`; `server.instance(id)` has `impaired` and
`console_output` to be set. `server.instance_metadata(id)` is what the instance would
read from its metadata service.

**Run Command.** `server.systems_manager` is the part of SSM that moto lacks: managed instances, and
shell scripts that really run, each in a directory below `.home` that stands for an instance's root;
a test sets it. An instance is managed if it has an instance profile (`.needs_profile`), and
`.timings.registration` seconds after it runs; then `.on_boot(instance, root)` is called, to do what
cloud-init would. `.timings` has `pickup`, `report` and `invisible_calls` as well; `.offline`,
`.undeliverable` and `.unregistered` are sets of ids; `.commands`, `.parameters()` and `.outputs()`
are what the history shows, `.running()` and `.kill_all()` concern the processes.

**Hooks.** `server.hooks.on_launch`, `.on_running`, `.on_stopped`, `.on_terminated` are functions of
an `Instance`, called before the new state shows, so that a real host can stand behind an instance:
a hook may set `instance.private_ip` and `.public_ip` and read `.user_data`. What a hook raises is
in `server.inspector.hook_errors()`. Hooks may make calls to the server, except `on_launch`, which
runs while the launching call has the cloud to itself.

**The inspector.** `server.inspector` sees what really is, without lag: `instances` (all ever),
`living`, `running`, `in_state(name)`, `with_tag(key, value)`, `by_tag(key)`, `launched()`,
`doubled_tokens()`, `doubled_tags(key)`, `orphan_volumes()`, `volumes()`, `spot_requests()`,
`open_spot_requests()`, `launch_templates()`, `calls` (each a `Call`),
`count_calls(action, since=)`, `calls_by_action()`, `calls_of(action)`, `errors_by_code()`,
`forget_calls()`, and `crashes` (what the server itself raised; a client hears `TestServerCrashed`).
An `Instance` tells its `request` (what it was launched from: template, override and parameters in one, in RunInstances' words), `sent` (the
call's parameters as the client sent them), `history`, `tags`, `origin_token` (the caller's
ClientToken), `market`, `zone`, `volumes` and more.

Where EC2 surprises, as documented: RunInstances' ClientToken holds for a zone, not the Region, if
the call names a zone or a subnet; a token whose instances are terminated answers
`IdempotentInstanceTerminated` for a day; a fleet's instances have tokens of EC2's own making, so
that filter `client-token` doesn't find them by the caller's; `InsufficientInstanceCapacity` comes
with status 500, which boto3 repeats by itself. Fleets are of type instant only, and Spot is
launched by RunInstances and CreateFleet only.
"""

from . import faults
from .clock import RealClock, ScriptedClock
from .cloud import Hooks, Timings
from .inspector import Call, Inspector
from .problems import EC2Error
from .records import Instance, ScheduledEvent, SpotRequest
from .server import ACCESS_KEY, REGION, SECRET_KEY, EC2Server, real_time_server

__all__ = [
    "ACCESS_KEY",
    "REGION",
    "SECRET_KEY",
    "Call",
    "EC2Error",
    "EC2Server",
    "Hooks",
    "Inspector",
    "Instance",
    "RealClock",
    "ScheduledEvent",
    "ScriptedClock",
    "SpotRequest",
    "Timings",
    "faults",
    "real_time_server",
]
