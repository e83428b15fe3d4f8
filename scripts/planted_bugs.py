"""The bugs that ``mutants.py`` plants, and the tests that are to catch each, quick ones first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    module: str
    description: str  # what goes wrong
    before: str  # found exactly once in the module
    after: str
    tests: tuple[str, ...]


POLICY = ("tests/unit/test_policy.py",)
LIFECYCLE = ("tests/unit/test_lifecycle.py",)
PLACEMENT = ("tests/unit/test_planner_placement.py",)
HOSTS = ("tests/unit/test_planner_hosts.py",)
LEASES_PLANNED = ("tests/unit/test_planner_leases.py",)
KEEPING = ("tests/unit/test_planner_keeping.py",)
PROPERTIES = ("tests/unit/test_planner_properties.py",)
EXECUTOR = ("tests/unit/test_executor.py",)
PROVIDER_CALLS = ("tests/unit/test_provider_calls.py",)
LAUNCHES = ("tests/unit/test_launches.py",)
LOOP = ("tests/unit/test_loop.py",)
LEASES = ("tests/unit/test_leases.py",)
CONTROLLER = ("tests/unit/test_controller.py",)
CHANGES = ("tests/unit/test_changes.py",)
MEMORY = ("tests/contract/test_memory_store.py",)
SQL = ("tests/contract/test_sql_store.py::TestSqliteStoreInMemory",)
SQL_FAULTS = ("tests/contract/test_sql_faults.py",)
STORMS = ("tests/simulation/test_storms.py::TestStorms::test_storms_pass",)


def planter(bugs: list[Bug], about: str = "") -> Callable[..., None]:
    """Return what adds a bug to *bugs*, with a word in its description by which all can be chosen."""

    def plant(
        module: str, tests: tuple[str, ...], description: str, before: str, after: str = ""
    ) -> None:
        described = f"{description} ({about})" if about else description
        bugs.append(Bug(module, described, before, after, tests))

    return plant


BUGS: list[Bug] = []
_bug = planter(BUGS)


# --- the small decisions -------------------------------------------------------------------------

_bug(
    "policy.py",
    POLICY,
    "back-off grows without end",
    "min(300.0, 2.0 ** min(failures, 10))",
    "2.0 ** failures",
)
_bug(
    "policy.py",
    POLICY,
    "a provider's own waiting time is ignored",
    "max(at_least, longest * (0.5 + 0.5 * uniform))",
    "longest * (0.5 + 0.5 * uniform)",
)
_bug(
    "policy.py",
    POLICY,
    "a spent budget lets two hosts be tried",
    "and booting:",
    "and booting > 1:",
)
_bug(
    "policy.py",
    POLICY,
    "a resource serves one lease too many",
    "resource.uses >= blueprint.max_uses",
    "resource.uses > blueprint.max_uses",
)
_bug(
    "policy.py",
    HOSTS,
    "a twin replaces the host that the row remembers",
    "if resource.identity:",
    "if resource.identity and len(hosts) > 1:",
)
_bug(
    "policy.py",
    POLICY,
    "the required label is not chosen",
    "requires.get(label, offered[0])",
    "offered[0]",
)
_bug(
    "policy.py",
    POLICY,
    "what only a choice offers does not fit",
    "else tuple(blueprint.choices.get(label, ()))",
    "else ()",
)
_bug(
    "model.py",
    POLICY,
    "a mode outlasts its end",
    "self.mode_until <= now\n        return Mode",
    "self.mode_until < now - 1.0\n        return Mode",
)

# --- which status may follow which ---------------------------------------------------------------

_bug(
    "lifecycle.py",
    LIFECYCLE,
    "a released resource cannot break",
    "RE.RELEASE: LATE,       RE.BREAK: R.BROKEN,",
    "RE.RELEASE: LATE,       RE.BREAK: LATE,",
)
_bug(
    "lifecycle.py",
    LIFECYCLE,
    "an active lease goes back to the pool",
    "LE.ACTIVATE: LATE,     LE.RETURN: NEVER,",
    "LE.ACTIVATE: LATE,     LE.RETURN: L.PENDING,",
)
_bug(
    "lifecycle.py",
    LIFECYCLE,
    "a forbidden move passes as late news",
    "if following is NEVER:",
    "if following is NEVER and status is None:",
)

# --- the planner: leases and hosts ----------------------------------------------------------------

_bug(
    "planner/upkeep.py",
    LEASES_PLANNED,
    "a lease outlives its expiry",
    "if lease.expires_at <= survey.now:",
    "if lease.expires_at < survey.now:",
)
_bug(
    "planner/upkeep.py",
    LEASES_PLANNED,
    "a lease that was used goes back to the pool",
    "if lease.status is LeaseStatus.ACTIVE:",
    "if lease.status is LeaseStatus.ACQUIRED:",
)
_bug(
    "planner/upkeep.py",
    LEASES_PLANNED,
    "a lease goes back to the pool once too often",
    "if len(lease.returns) + 1 >= MOST_RETURNS:",
    "if len(lease.returns) >= MOST_RETURNS:",
)
_bug(
    "planner/upkeep.py",
    LEASES_PLANNED,
    "a slot is given back while its host still runs",
    "return CloseLease(lease, share) if survey.host_is_gone(resource) else None",
    "return CloseLease(lease, share)",
)
_bug(
    "planner/upkeep.py",
    LEASES_PLANNED,
    "nothing is vacated",
    "if not blueprint.vacates:",
    "if blueprint.vacates:",
)
_bug(
    "planner/upkeep.py",
    LEASES_PLANNED,
    "a set-up that never succeeds is tried for ever",
    "if preparing.failures >= MOST_CALL_FAILURES:",
    "if preparing.failures > 99:",
)
_bug(
    "planner/upkeep.py",
    HOSTS,
    "a boot takes too long while nobody can look",
    "if deadline <= survey.now and inventory.known:",
    "if deadline <= survey.now:",
)
_bug(
    "planner/upkeep.py",
    HOSTS,
    "a host is asked for again before it could be listed",
    "or inventory.asked_at <= listed_from:",
    "or inventory.asked_at < listed_from - blueprint.listing_delay:",
)
_bug(
    "planner/upkeep.py",
    HOSTS,
    "a host is judged gone while the listing fails",
    "    if not inventory.known:\n        return None\n    host",
    "    host",
)
_bug(
    "planner/upkeep.py",
    HOSTS,
    "a clock that differs makes a new host look gone",
    "blueprint.listing_delay + CLOCK_TOLERANCE_SECONDS",
    "blueprint.listing_delay",
)
_bug(
    "planner/upkeep.py",
    HOSTS + LEASES_PLANNED,
    "a resource is closed before its leases",
    "if resource.id in survey.on_resource:\n            return None  # its leases are closed first",
    "if not resource.id:\n            return None",
)
_bug(
    "planner/upkeep.py",
    HOSTS,
    "hosts are swept after a failed listing",
    "        if not inventory.known:\n            continue\n",
)
_bug(
    "planner/upkeep.py",
    HOSTS,
    "of the twins of a pending resource all but one are destroyed",
    "elif len(hosts) > 1 and resource.status is ResourceStatus.ACTIVE:",
    "elif len(hosts) > 1:",
)
_bug(
    "planner/upkeep.py",
    HOSTS,
    "all twins are destroyed if the remembered one is missing",
    "if kept is not None and host.identity != kept.identity:",
    "if kept is None or host.identity != kept.identity:",
)
_bug(
    "planner/upkeep.py",
    HOSTS + LEASES_PLANNED,
    "a resource is given up under a living lease",
    "    if any(lease.status in LIVING_LEASES for lease in leases):\n        return None\n    for",
    "    for",
)
_bug(
    "planner/survey.py",
    HOSTS,
    "an old listing shows a host gone",
    "            and inventory.asked_at >= destroyed.succeeded_at\n",
)
_bug(
    "planner/survey.py",
    HOSTS,
    "a host that cannot be listed yet counts as gone",
    "resource.since + blueprint.listing_delay\n",
    "resource.since\n",
)
_bug(
    "planner/survey.py",
    HOSTS,
    "a call that failed is made again at once",
    "return call.retry_at <= self.now",
    "return True",
)
_bug(
    "planner/survey.py",
    HOSTS,
    "the loop wakes for the last thing due, not the first",
    "at < self.wake_at)",
    "at > self.wake_at)",
)
_bug(
    "planner/listing.py",
    HOSTS,
    "a change is looked for at the leisurely pace",
    "soon = asked_at + blueprint.poll_interval / _HASTE",
    "soon = asked_at + blueprint.poll_interval",
)
_bug(
    "planner/listing.py",
    HOSTS,
    "a stray that was told to go stays listed until the next sweep",
    "    if any(changed >= asked_at for changed in leaving):\n        return soon\n",
)
_bug(
    "planner/listing.py",
    HOSTS,
    "a stray that takes its time to go is looked for at the pace of sweeps",
    "expecting = bool(leaving)",
    "expecting = False",
)
_bug(
    "planner/listing.py",
    HOSTS,
    "providers of strays that have gone are listed often",
    "        if any(identity in",
    "        if not any(identity in",
)
_bug(
    "planner/listing.py",
    HOSTS,
    "listings are frequent when nothing is expected",
    "blueprint.poll_interval if expecting else blueprint.sweep_interval",
    "blueprint.sweep_interval if expecting else blueprint.poll_interval",
)

# --- the planner: what is kept, and who gets what -------------------------------------------------

_bug(
    "planner/keeping.py",
    KEEPING + PLACEMENT,
    "a resource is released that was just given to a lease",
    "        and resource.id not in survey.moving\n",
)
_bug(
    "planner/keeping.py",
    KEEPING,
    "what is paid for in any case is let go",
    "max(resource.idle_since + blueprint.idle_timeout, paid_until)",
    "resource.idle_since + blueprint.idle_timeout",
)
_bug(
    "planner/keeping.py",
    KEEPING,
    "warm resources are released",
    "spare = len(running) - blueprint.min_ready",
    "spare = len(running)",
)
_bug(
    "planner/keeping.py",
    KEEPING,
    "a paused blueprint is drained",
    "if mode in (Mode.DRAINING, Mode.DISABLED):",
    "if mode in tuple(Mode)[1:]:",
)
_bug(
    "planner/keeping.py",
    KEEPING,
    "the one idle for the shortest time is released",
    "key=lambda r: (r.idle_since, r.id)",
    "key=lambda r: (-r.idle_since, r.id)",
)
_bug(
    "planner/placement.py",
    PLACEMENT,
    "one more is built although one is coming",
    "            or self._coming_slot(lease, candidates)\n",
)
_bug(
    "planner/placement.py",
    PLACEMENT,
    "resources are reclaimed when a provider fails",
    "            if not stock.is_full(lease.requires):\n                continue\n",
)
_bug(
    "planner/placement.py",
    PLACEMENT,
    "one master refuses another's lease",
    "if lease.master not in (None, self._survey.world.master):",
    "if lease.master == -1:",
)
_bug(
    "planner/placement.py",
    PLACEMENT + KEEPING,
    "more is kept warm than is asked for",
    "blueprint.min_ready - stock.unpromised()",
    "blueprint.min_ready",
)
_bug(
    "planner/placement.py",
    PLACEMENT + KEEPING,
    "a slot is given on a resource that this plan releases",
    "                self._survey.moving.add(resource.id)\n                activate",
    "                activate",
)
_bug(
    "planner/placement.py",
    PLACEMENT,
    "a slot is given on a resource that is reclaimed",
    "                self._survey.leaving.add(resource.id)\n",
)
_bug(
    "planner/stock.py",
    PLACEMENT,
    "one plan gives more uses than a resource has left",
    "            free = free[: self.blueprint.max_uses - resource.uses]\n",
    "            pass\n",
)
_bug(
    "planner/stock.py",
    PLACEMENT,
    "a coming resource is promised more often than it may be used",
    "            spare = min(spare, self.blueprint.max_uses)\n",
    "            pass\n",
)
_bug(
    "planner/stock.py",
    PLACEMENT,
    "what should be packed is spread",
    "is Placement.PACK else",
    "is Placement.SPREAD else",
)
_bug(
    "planner/stock.py",
    PLACEMENT,
    "one resource more than the limit is built",
    "return self._living >= self.blueprint.limit",
    "return self._living > self.blueprint.limit",
)
_bug(
    "planner/stock.py",
    PLACEMENT,
    "one plan builds beyond the limit",
    "        self._living += 1\n        self._booting += 1\n        self._budget",
    "        self._booting += 1\n        self._budget",
)
_bug(
    "planner/stock.py",
    PLACEMENT,
    "what is being torn down does not count",
    "            self._ended += 1\n",
    "            self._ended += 1\n            self._living -= 1\n",
)
_bug("planner/stock.py", PLACEMENT, "one slot is given twice", "slot = free[0]", "slot = free[-1]")
_bug(
    "planner/stock.py",
    PLACEMENT,
    "the resource used last is reclaimed",
    "sorted(self.idle.values(), key=lambda r: (r.idle_since, r.id))",
    "sorted(self.idle.values(), key=lambda r: (-r.idle_since, r.id))",
)

# --- the loop -------------------------------------------------------------------------------------

_bug(
    "executor.py",
    EXECUTOR,
    "a change is forgotten because a call came after it",
    "await self._run_one(action) or moved",
    "await self._run_one(action)",
)
_bug(
    "executor.py",
    EXECUTOR,
    "a host that breaks later counts as a failed launch",
    "elif action.launch_failed:",
    "elif action.event is ResourceEvent.BREAK:",
)
_bug(
    "executor.py",
    EXECUTOR,
    "who waits for a lease is not told",
    "            if lease is not None:\n                self._lease_changed(lease)\n",
    "            pass\n",
)
_bug(
    "executor.py",
    EXECUTOR,
    "the row does not remember its host",
    "            observed=action.observed,\n",
)
_bug(
    "executor.py",
    EXECUTOR,
    "the row does not remember its lease",
    "                built_for=action.built_for,\n                locks",
    "                locks",
)
_bug(
    "executor.py",
    STORMS,
    "a place is not locked",
    "[slotlocks.place(action.blueprint, action.place)]",
    "[]",
)
_bug(
    "executor.py",
    EXECUTOR,
    "a lost race for a place asks for a host all the same",
    "        if resource is None:\n            return\n        self._spent(within)\n        self._calls",
    "        assert resource is not None\n        self._spent(within)\n        self._calls",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a listing counts as of its end",
    "            asked_at=asked_at,\n            hosts=",
    "            asked_at=self._clock.seconds(),\n            hosts=",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a failed listing looks like an empty one",
    "replace(before, error=str(error))",
    "Inventory(asked_at=asked_at)",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a host counts as created when the call ends",
    "            self._calls.succeed(key, begun_at)\n\n    async def _not_created",
    "            self._calls.succeed(key, self._clock.seconds())\n\n    async def _not_created",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "without capacity a blueprint does not back off",
    "                await self._launches.refused(resource.blueprint, text)\n                record",
    "                record",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "misconfiguration leaves the row waiting",
    "text)\n                await self._break_resource(resource, text)\n            case Disposition.REJECT",
    "text)\n            case Disposition.REJECT",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a rejected request is made for ever",
    "                await self._reject(resource, text)\n",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a rejection breaks a lease that has got another resource",
    "asker is not None and asker.status is LeaseStatus.PENDING",
    "asker is not None",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a set-up for one resource activates a lease on another",
    "            if lease.resource != prepared.resource:\n                return\n",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a renewal during its set-up keeps a lease from becoming active",
    "            lease = await self._store.lease(lease.id)\n\n",
    "            return\n\n",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "one call is made twice at once",
    "or not self._calls.begin(key)",
    "or self._calls.begin(key) is None",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "the end of a call wakes nobody",
    "        self._under_way.discard(call)\n        self._wake()\n",
    "        self._under_way.discard(call)\n",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a call hangs for ever",
    ".addTimeout(limit, cast(Any, self._clock), say_so)",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a slot is given back although vacating failed",
    "provider.vacate(resource, lease)):",
    "provider.vacate(resource, lease)) or True:",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a set-up that was rejected is tried again",
    "if error.disposition is Disposition.REJECT:",
    "if error.disposition is Disposition.CRASH:",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "each of many failures is written down",
    "if call.failures & (call.failures - 1) == 0:",
    "if call.failures:",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "that a stray was told to go is forgotten",
    "        return token in self._inventories[key.blueprint].hosts\n",
    "        return False\n",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "that a host was asked for is forgotten before it is there",
    "                row.status is ResourceStatus.ACTIVE\n                and row.power",
    "                row.status is not ResourceStatus.ACTIVE\n                and row.power",
)
_bug(
    "provider_calls.py",
    PROVIDER_CALLS,
    "a master that stops counts its calls as failed",
    '        except CancelledError:\n            raise\n        except Exception as error:  # noqa: BLE001 - it breaks only the row it concerns\n            self.log.failure("creating',
    '        except BaseException as error:  # noqa: BLE001\n            self.log.failure("creating',
)
_bug(
    "launches.py",
    LAUNCHES,
    "one lack of capacity counts for each host asked for",
    "            if state.retry_at is not None and state.retry_at > self._clock.seconds():\n                return None\n",
)
_bug(
    "launches.py",
    LAUNCHES,
    "a failure that loses the race is not counted",
    "_ATTEMPTS = 5",
    "_ATTEMPTS = 1",
)
_bug(
    "launches.py",
    LAUNCHES,
    "a success does not end the failures",
    "misconfigured=False, failures=0, retry_at=None",
    "misconfigured=False, retry_at=None",
)
_bug(
    "launches.py",
    LAUNCHES,
    "a misconfigured blueprint is not marked",
    "                misconfigured=True,\n",
)
_bug(
    "launches.py",
    LAUNCHES,
    "a provider's own waiting time is lost",
    "at_least=after",
    "at_least=0.0",
)
_bug(
    "loop.py",
    LOOP,
    "what comes during a turn makes no other turn",
    "self._woken = self._woken or again",
    "self._woken = again",
)
_bug(
    "loop.py",
    LOOP,
    "two turns run at once",
    "if self._started and self._running is None:",
    "if self._started:",
)
_bug(
    "loop.py",
    LOOP,
    "two wake-ups make two turns",
    "        self._cancel_timer()\n        self._timer = self._clock",
    "        self._timer = self._clock",
)
_bug(
    "loop.py",
    LOOP,
    "a lost wake-up stops the loop",
    "return min(self._safety_seconds, max(_SHORTEST_SECONDS, at - self._clock.seconds()))",
    "return max(_SHORTEST_SECONDS, at - self._clock.seconds())",
)
_bug(
    "loop.py",
    LOOP,
    "a stopped loop goes on",
    "        self._started = False\n        self._cancel_timer()\n",
    "        self._cancel_timer()\n",
)
_bug(
    "loop.py",
    LOOP,
    "a turn that fails ends the loop",
    "        except Exception:  # noqa: BLE001 - one turn's failure must not end the loop\n",
    "        except KeyError:\n",
)
_bug(
    "controller.py",
    CONTROLLER,
    "hosts are listed after the rows were read",
    "            inventories=inventories,\n",
    "            inventories=self._calls.inventories(),\n",
)
_bug(
    "controller.py",
    CONTROLLER,
    "holders do not see what another master did",
    "        self._observed(rows)\n",
)
_bug(
    "controller.py",
    CONTROLLER,
    "the memory of calls grows for ever",
    "        self._calls.forget_all_but(rows.resources, rows.leases)\n",
)
_bug(
    "controller.py",
    CONTROLLER,
    "the planner does not know the run-time states",
    "replace(b, state=rows.blueprints.get(b.name, BlueprintState(name=b.name)))",
    "replace(b, state=BlueprintState(name=b.name))",
)

# --- leases ---------------------------------------------------------------------------------------

_bug(
    "leases.py",
    LEASES,
    "a released lease can still be waited for",
    "        self._active.pop(number, None)\n",
)
_bug(
    "leases.py",
    LEASES,
    "a renewal at the wrong moment undoes a release",
    "            lease = await self._store.lease(number)  # changed meanwhile: by a renewal, for one\n",
    "            break\n",
)
_bug(
    "leases.py",
    LEASES,
    "a holder is not told that its lease expired",
    "for number in sorted(held - renewed):",
    "for number in ():",
)
_bug(
    "leases.py",
    LEASES,
    "the oldest lease is adopted",
    "active[-1] if active",
    "active[0] if active",
)
_bug(
    "leases.py",
    LEASES,
    "leases that are not adopted live on",
    "            if lease is not adopted:\n",
    "            if lease is adopted and False:\n",
)
_bug(
    "leases.py",
    LEASES,
    "a lost lease can be held",
    '            raise LeaseBroken(f"lease {number} was lost before its holder could use it")\n',
    "            pass\n",
)
_bug(
    "leases.py",
    LEASES,
    "who waits for a lease that breaks waits for ever",
    "            self._fail_waiting(lease.id, lease.reason or",
    "            str(lease.reason or",
)
_bug(
    "leases.py",
    LEASES,
    "one master keeps another's leases alive",
    "return lease.master == self._master and lease.status in LIVING_LEASES",
    "return lease.status in LIVING_LEASES",
)
_bug(
    "leases.py",
    LEASES,
    "a request wakes nobody",
    "        self._held[lease.id] = _Hold()\n        self._wake()\n        return lease",
    "        self._held[lease.id] = _Hold()\n        return lease",
)
_bug(
    "leases.py",
    LEASES,
    "one holder's bug hurts the others",
    "        except Exception:  # noqa: BLE001 - one holder's bug",
    "        except KeyError:  # one holder's bug",
)

# --- the stores -----------------------------------------------------------------------------------

_bug(
    "store/changes.py",
    MEMORY + SQL,
    "a destroyed resource keeps its place",
    "locks=() if status is ResourceStatus.DESTROYED else seen.locks",
    "locks=seen.locks",
)
_bug(
    "store/changes.py",
    MEMORY,
    "a status has no time of its own",
    "        since=now,\n        reason=reason or seen.reason,\n        locks",
    "        reason=reason or seen.reason,\n        locks",
)
_bug(
    "store/changes.py",
    CHANGES,
    "what is known of a host is forgotten",
    "identity=observed.identity or row.identity",
    "identity=observed.identity",
)
_bug(
    "store/changes.py",
    MEMORY,
    "one slot is given twice in a batch",
    "(key in held or key in taken for key in keys)",
    "(key in held for key in keys)",
)
_bug(
    "store/changes.py",
    MEMORY,
    "one lease gets two slots in a batch",
    "            and claim.lease.id not in given\n",
)
_bug(
    "store/changes.py",
    MEMORY,
    "a claim on a stale resource succeeds",
    "resources.get(claim.resource.id) == claim.resource.version",
    "claim.resource.id in resources",
)
_bug(
    "store/changes.py",
    SQL,
    "a claim of a stale lease succeeds",
    "leases.get(claim.lease.id) == claim.lease.version",
    "claim.lease.id in leases",
)
_bug(
    "store/changes.py",
    MEMORY,
    "a lease forgets why it went back to the pool",
    "returns=(*seen.returns, reason)",
    "returns=seen.returns",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a resource takes the one lock of two that is free",
    "if any(key in self._owners for key in request.locks):",
    "if all(key in self._owners for key in request.locks):",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a stale resource is moved",
    "if now is None or now.version != seen.version:\n            return None\n        if event is ResourceEvent",
    "if now is None:\n            return None\n        if event is ResourceEvent",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a stale lease is moved",
    "        now = self._leases.get(seen.id)\n        if now is None or now.version != seen.version:",
    "        now = self._leases.get(seen.id)\n        if now is None:",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a leased resource is released",
    "        if event is ResourceEvent.RELEASE and self._occupants.get(seen.id):\n            return None\n",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a claim does not change its resource",
    "                version=resource.version + 1,\n",
)
_bug(
    "store/memory.py",
    MEMORY,
    "uses are not counted",
    "uses=resource.uses + 1",
    "uses=resource.uses",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a resource counts as leased for ever",
    "        self._occupants.get(lease.resource, set()).discard(lease.id)\n",
)
_bug(
    "store/memory.py",
    MEMORY,
    "an ended lease is renewed",
    "if row is not None and row.status in LIVING_LEASES:\n                self._put_lease(",
    "if row is not None:\n                self._put_lease(",
)
_bug(
    "store/memory.py",
    MEMORY,
    "a stale blueprint is changed",
    "if seen.version != self._version_of(seen.name):",
    "if seen.version > self._version_of(seen.name):",
)
_bug(
    "store/memory.py",
    STORMS,
    "an ended lease keeps its slot lock",
    "        self._unlock(lease.locks)\n",
)
_bug(
    "store/statements.py",
    SQL,
    "a stale row is moved",
    "same = (table.c.id == number) & (table.c.version == version)",
    "same = table.c.id == number",
)
_bug(
    "store/statements.py",
    SQL,
    "a stale blueprint is changed",
    "same = (blueprints.c.name == row.name) & (blueprints.c.version == seen.version)",
    "same = blueprints.c.name == row.name",
)
_bug(
    "store/sql.py",
    SQL,
    "a leased resource is released",
    "            if event is ResourceEvent.RELEASE and is_leased(connection, seen.id):\n                return None\n",
)
_bug(
    "store/statements.py",
    SQL,
    "a resource is released before its ended lease is vacated",
    "if status not in (LeaseStatus.PENDING, LeaseStatus.DESTROYED)",
    "if status in (LeaseStatus.ACQUIRED, LeaseStatus.ACTIVE)",
)
_bug(
    "store/sql.py",
    SQL,
    "a destroyed resource keeps its place",
    "            if status is ResourceStatus.DESTROYED:\n                unlock(connection, seen.locks)\n",
)
_bug(
    "store/sql.py",
    SQL,
    "a lease that goes back to the pool keeps its slot",
    "if event in (LeaseEvent.RETURN, LeaseEvent.VACATE):",
    "if event is LeaseEvent.VACATE:",
)
_bug(
    "store/sql.py",
    SQL_FAULTS,
    "a request that is run again makes two leases",
    "find_requested(connection, wanted) if begun else None",
    "None",
)
_bug(
    "store/sql.py",
    SQL,
    "an ended lease is renewed",
    "living = leases.c.id.in_(numbers) & leases.c.status.in_(LIVING)",
    "living = leases.c.id.in_(numbers)",
)
_bug(
    "store/sql.py",
    SQL,
    "a renewal is not seen by who moves the lease",
    "version=leases.c.version + 1, renewed_at",
    "renewed_at",
)
_bug(
    "store/sql.py",
    SQL,
    "the first events are shown, not the last",
    "order_by(events.c.id.desc()).limit(limit)",
    "order_by(events.c.id).limit(limit)",
)
_bug(
    "store/sql.py",
    SQL,
    "a vacated resource does not count as used",
    "                connection.execute(used.values(last_used_at=now))\n",
    "                used.values(last_used_at=now)\n",
)
_bug(
    "store/acquisition.py",
    SQL,
    "a lease gets a slot of a resource that has ended",
    "        .where(resources.c.status == ResourceStatus.ACTIVE.value)\n",
)
_bug(
    "store/acquisition.py",
    SQL,
    "the second hundred claims refuse each other",
    "version - added.get(number, 0)",
    "version",
)
_bug(
    "store/acquisition.py",
    SQL,
    "several uses of a resource count as one",
    "uses=resources.c.uses + count",
    "uses=resources.c.uses + 1",
)
_bug(
    "store/acquisition.py",
    SQL,
    "several claims count as one change",
    "version=resources.c.version + count",
    "version=resources.c.version + 1",
)
_bug(
    "store/acquisition.py",
    SQL,
    "a slot is not locked",
    '    connection.execute(slot_locks.insert(), sorted(locks, key=lambda lock: lock["lock_key"]))\n',
    "    locks.clear()\n",
)
