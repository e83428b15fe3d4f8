"""One turn of the loop: observe, plan, execute."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from buildbot_drydock.executor import Executor
from buildbot_drydock.interfaces import ReactorTime, Store
from buildbot_drydock.model import Blueprint, BlueprintState, Rows, World
from buildbot_drydock.planner import Plan, plan
from buildbot_drydock.provider_calls import ProviderCalls
from buildbot_drydock.sharing import Sharing

# What is configured at a moment, with the run-time states of the rows, by name.
Configured = Callable[[float, Mapping[str, BlueprintState]], Sequence[Blueprint]]


async def plan_here(world: World) -> Plan:
    """Plan in the calling thread: right for small worlds and for tests."""
    return plan(world)


class Controller:
    """Runs turns for one master.

    *blueprints* answers what is configured at a moment, as edited by the states. *planner*
    may move the work to a thread: ``plan`` is a pure function. *observed* sees the rows of each
    turn before they are planned for. *sharing* answers by which rules what there is is shared.
    """

    def __init__(
        self,
        store: Store,
        calls: ProviderCalls,
        executor: Executor,
        blueprints: Configured,
        *,
        clock: ReactorTime,
        master: int | None = None,
        planner: Callable[[World], Awaitable[Plan]] = plan_here,
        observed: Callable[[Rows], None] = lambda rows: None,
        sharing: Callable[[], Sharing] = Sharing,
    ) -> None:
        self._store = store
        self._calls = calls
        self._executor = executor
        self._blueprints = blueprints
        self._clock = clock
        self._master = master
        self._planner = planner
        self._observed = observed
        self._sharing = sharing
        self.world = World(now=clock.seconds())
        self.plan = Plan()

    async def observe(self) -> World:
        """Take the last inventories first, then read the rows, so that no row can be missing."""
        inventories = self._calls.inventories()
        rows, blueprints = await self._rows_and_blueprints()
        self._observed(rows)
        self._calls.forget_all_but(rows.resources, rows.leases)
        return World(
            now=self._clock.seconds(),
            blueprints=tuple(
                replace(b, state=rows.blueprints.get(b.name, BlueprintState(name=b.name)))
                for b in blueprints
            ),
            hosts=rows.hosts,
            resources=rows.resources,
            leases=rows.leases,
            inventories=inventories,
            calls=self._calls.snapshot(),
            master=self._master,
            authorizations=rows.authorizations,
            spent=rows.spent,
            sharing=self._sharing(),
        )

    async def _rows_and_blueprints(self) -> tuple[Rows, Sequence[Blueprint]]:
        """Read what was decided, or spent in a day, of the blueprints where that matters as well.

        Which these are is what it was in the last turn, as a rule; after a reconfig, rows are read
        once more.
        """
        known = _questions(self.world.blueprints)
        while True:
            rows = await self._store.rows(**known)
            blueprints = self._blueprints(self._clock.seconds(), rows.blueprints)
            wanted = _questions(blueprints)
            if all(set(names) <= set(known.get(each, ())) for each, names in wanted.items()):
                return rows, blueprints
            known = wanted

    async def turn(self) -> bool:
        """Do everything that can be done now; tell whether another turn is due at once."""
        # The rows of the last turn go one by one while the next ones are read. To keep them would
        # be to have all twice, and to free them all at once while nothing else can run.
        self.world = replace(self.world, resources=(), leases=())
        self.world = await self.observe()
        self.plan = await self._planner(self.world)
        return await self._executor.run(self.plan.actions, self.world.blueprints)


def _questions(blueprints: Sequence[Blueprint]) -> dict[str, list[str]]:
    """Return what is to be read besides the rows, as arguments; nothing where nobody needs it."""
    questions = {
        "authorizations_of": sorted(each.name for each in blueprints if each.needs_approval),
        "spent_by": sorted(each.name for each in blueprints if each.max_daily_cost is not None),
    }
    return {each: names for each, names in questions.items() if names}
