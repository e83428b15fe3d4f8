"""Imports point one way, and what changes the world is done in one place.

The tables below are the rules. A new module has to be given its layer here. The checks read the
source only; that each of them bites is tested at the end, on small planted violations.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

PACKAGE = "buildbot_drydock"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE
LONGEST_MODULE = 500  # lines
# One idea each, and still long: to be split when a seam shows. Others are not added lightly.
LONGER_MODULES = {"latent.worker": 600, "testing.store_contract": 1_000}

# The modules of each layer. A name stands for the module and for what is below it; the longest
# name that fits decides. "" is the package itself: the names for master.cfg.
LAYERS = {
    "pure": (
        *("model", "lifecycle", "errors", "slotlocks", "reasons", "actions", "events"),
        *("event_base", "access_events", "parking_events", "authorization"),
        *("costs", "policy", "planner", "offers", "queries", "ledger"),
        *("quota", "quota_room", "sharing", "daily_costs"),
        *("metrics.census", "metrics.tally"),
    ),
    "interfaces": ("interfaces", "abilities"),
    "loop": ("calls", "provider_calls", "launches", "executor", "controller", "loop", "closing"),
    "leases": ("leases", "maintenance", "people", "approvals", "strays"),
    "store": ("store",),
    "remote": ("remote",),
    "latent": ("latent",),
    "buildbot": (
        *(
            "config",
            "sharing_fields",
            "workerpool",
            "catalogue",
            "service",
            "crew",
            "buildbot_hooks",
            "steps",
            "build_leases",
        ),
        *("operations", "www", "inspection", "latent.worker", "latent.terms", "latent.tenancy"),
        "retention",
        *("latent.starting", "latent.uses", "latent.badges"),
        "metrics",
    ),
    "names": ("",),
    "cli": ("cli",),
    "testing": ("testing",),
}

# What a layer may import besides itself.
_CORE = {"pure", "interfaces"}
MAY_IMPORT = {
    "pure": set[str](),
    "interfaces": {"pure"},
    "loop": _CORE,
    "leases": {*_CORE, "loop"},
    "store": _CORE,
    "remote": _CORE,
    "latent": {*_CORE, "remote"},
    "buildbot": {*_CORE, "loop", "leases", "store", "remote", "latent"},
    "names": {*_CORE, "loop", "leases", "store", "remote", "latent", "buildbot"},
    # It may be on another machine than the master, and knows what the API tells.
    "cli": set[str](),
    "testing": set(LAYERS) - {"names", "cli"},
}

# What of the world outside a pure module may import: nothing that does I/O, tells the time or
# draws random numbers.
PURE_LIBRARIES = {
    *("__future__", "typing", "typing_extensions", "dataclasses", "enum", "operator", "math"),
    *("collections", "collections.abc", "heapq", "bisect", "itertools", "functools", "fnmatch"),
    "hashlib",
}
IMPURE_BUILTINS = {"open", "print", "input", "exec", "eval", "__import__"}

# Libraries that only some layers, or modules, know.
KNOWN_TO = {
    "buildbot": {"buildbot", "testing"},
    "sqlalchemy": {"store", "testing"},
    "alembic": {"store", "testing"},
    "asyncssh": {"remote", "testing"},
    "boto3": {"latent.ec2", "testing"},
    "botocore": {"latent.ec2", "testing"},
    "asyncio": {"remote", "testing"},
    "docker": {"latent.docker", "remote.docker", "testing"},
    "requests": {"remote.docker", "testing"},
    "kubernetes": {"latent.kubernetes"},
    "websocket": {"remote.kubernetes"},
    "urllib3": {"latent.kubernetes"},
    "prometheus_client": {"metrics"},
    # What only the extra `cli` brings.
    "click": {"cli"},
    "rich": {"cli"},
    "httpx": {"cli"},
}

# Calls that only some modules make. Verbs that others use as well (a table is created, a lock
# acquired) count where what they are called on is named like the thing meant.
CHANGING_VERBS = {
    *("add_resource", "move_resource", "move_lease", "request_lease", "change_blueprint"),
    *("change_host", "set_faults", "give_notice", "set_price", "set_power"),
    *("begin_use", "end_use", "end_uses"),
    *("request_authorization", "decide_authorization"),
}
CHANGING_VERBS_OF_A_STORE = {"acquire", "renew"}
CHANGE_ROWS = (
    *("executor", "provider_calls", "launches", "leases", "maintenance", "people"),
    *("approvals", "closing", "store", "testing"),
)
WWW_READS = ("listings", "authorization_listing", "usage", "journal", "spending")
PROVIDER_VERBS = {"inventory", "vacate"}
PROVIDER_VERBS_OF_A_PROVIDER = {"create", "destroy", "park", "wake", "prepare"}
CALL_PROVIDERS = ("executor", "provider_calls", "latent", "testing")


@dataclass(frozen=True)
class Module:
    name: str  # without the package: "store.sql"; "" is the package itself
    path: str
    tree: ast.Module
    lines: int
    is_package: bool = False

    @classmethod
    def parse(cls, name: str, source: str, path: str = "", is_package: bool = False) -> Module:
        path = path or f"{PACKAGE}/{name.replace('.', '/')}.py"
        return cls(name, path, ast.parse(source), len(source.splitlines()), is_package)

    @property
    def layer(self) -> str | None:
        return layer_of(self.name)

    def problem(self, node: ast.AST, text: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {text}"


@functools.cache
def modules() -> list[Module]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        if "node_modules" in path.parts:
            continue  # of the tools that build the web pages
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        where = str(path.relative_to(ROOT.parent))
        found.append(Module.parse(name, path.read_text("utf-8"), where, is_package))
    return found


def is_below(name: str, other: str) -> bool:
    return name == other or name.startswith(f"{other}.")


def layer_of(name: str) -> str | None:
    """Return the layer of a module, named without the package; ``None`` if it has none."""
    if name == "":
        return "names"
    fitting = [
        (len(prefix), layer)
        for layer, prefixes in LAYERS.items()
        for prefix in prefixes
        if prefix and is_below(name, prefix)
    ]
    return max(fitting)[1] if fitting else None


def imports(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield what is imported, wherever in the module, and only for type checking too.

    ``from package import name`` yields ``package.name``, which may be a module or a name in one.
    """
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                yield node, f"{base}.{alias.name}"


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = [PACKAGE, *filter(None, module.name.split("."))]
    up = node.level - (1 if module.is_package else 0)
    parts = parts[: len(parts) - up]
    return ".".join([*parts, node.module] if node.module else parts)


def calls(module: Module) -> Iterator[tuple[ast.Call, str, str]]:
    """Yield each method call with its method and the last name of what it is called on."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, node.func.attr, _last_name(node.func.value)


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lower()
        case ast.Subscript(value=inner) | ast.Call(func=inner) | ast.Await(value=inner):
            return _last_name(inner)
    return ""


# --- the rules ---------------------------------------------------------------------------------


def has_a_layer(module: Module) -> Iterator[str]:
    if module.layer is None:
        yield module.problem(
            module.tree, "this module has no layer; give it one in tests/test_architecture.py"
        )


def imports_only_lower_layers(module: Module) -> Iterator[str]:
    layer = module.layer
    for node, imported in imports(module):
        if layer is None or not is_below(imported, PACKAGE):
            continue
        within = imported.removeprefix(PACKAGE).removeprefix(".")
        other = layer_of(within)
        if other is None and "." in within:
            continue  # of a module without a layer, which is reported for that
        other = other or "names"
        if other != layer and other not in MAY_IMPORT[layer]:
            allowed = ", ".join(sorted({layer, *MAY_IMPORT[layer]}))
            yield module.problem(
                node,
                f"imports {imported}, of layer {other}; layer {layer} may import only {allowed}",
            )


def pure_modules_import_only_what_is_pure(module: Module) -> Iterator[str]:
    if module.layer not in ("pure", "interfaces"):
        return
    for node, imported in imports(module):
        names = {imported, imported.rpartition(".")[0]}
        if not is_below(imported, PACKAGE) and not names & PURE_LIBRARIES:
            yield module.problem(node, f"a pure module imports {imported}")


def pure_modules_do_nothing(module: Module) -> Iterator[str]:
    if module.layer != "pure":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield module.problem(node, "a pure module waits for nothing: no async, no await")
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_BUILTINS:
                yield module.problem(node, f"a pure module calls {name}()")


def few_know_the_library(module: Module) -> Iterator[str]:
    for node, imported in imports(module):
        library = imported.partition(".")[0]
        known_to = KNOWN_TO.get(library)
        if known_to is None or module.layer in known_to:
            continue
        if not any(is_below(module.name, each) for each in known_to):
            yield module.problem(
                node,
                f"imports {library}, known only to {', '.join(sorted(known_to))}; "
                f"this is layer {module.layer}",
            )


def few_change_rows(module: Module) -> Iterator[str]:
    if any(is_below(module.name, name) for name in CHANGE_ROWS):
        return
    for node, verb, receiver in calls(module):
        of_a_store = verb in CHANGING_VERBS_OF_A_STORE and "store" in receiver
        if verb in CHANGING_VERBS or of_a_store:
            yield module.problem(node, f"changes rows by {verb}(); only {_few(CHANGE_ROWS)} do")


def only_www_knows_the_web(module: Module) -> Iterator[str]:
    if is_below(module.name, "www"):
        return
    for node, imported in imports(module):
        if any(is_below(imported, web) for web in ("buildbot.data", "buildbot.www")):
            yield module.problem(node, f"imports {imported}; only www/ knows the data API")


def www_reads_rows_as_people_see_them(module: Module) -> Iterator[str]:
    if not is_below(module.name, "www"):
        return
    for node, imported in imports(module):
        if is_below(imported, f"{PACKAGE}.store") and not any(
            is_below(imported, f"{PACKAGE}.store.{name}") for name in WWW_READS
        ):
            yield module.problem(
                node, f"imports {imported}; www/ reads rows by {_few(WWW_READS)}, without secrets"
            )


def few_call_providers(module: Module) -> Iterator[str]:
    if module.layer == "pure" or any(is_below(module.name, name) for name in CALL_PROVIDERS):
        return  # a pure module awaits nothing, so its inventory() is another
    for node, verb, receiver in calls(module):
        of_a_provider = verb in PROVIDER_VERBS_OF_A_PROVIDER and "provider" in receiver
        if verb in PROVIDER_VERBS or of_a_provider:
            yield module.problem(
                node, f"calls {verb}(); only provider_calls calls a provider's verbs"
            )


def _few(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def has_a_docstring(module: Module) -> Iterator[str]:
    if not ast.get_docstring(module.tree):
        yield module.problem(module.tree, "a module says what it is in its docstring")


def is_not_too_long(module: Module) -> Iterator[str]:
    longest = LONGER_MODULES.get(module.name, LONGEST_MODULE)
    if module.lines > longest:
        yield module.problem(
            module.tree, f"has {module.lines} lines, more than {longest}: two ideas?"
        )


class ArchitectureTests(SynchronousTestCase):
    def check(self, rule) -> None:  # type: ignore[no-untyped-def]
        problems = [problem for module in modules() for problem in rule(module)]
        self.assertEqual(problems, [], "\n" + "\n".join(problems))

    def test_there_is_something_to_check(self) -> None:
        layers = {module.layer for module in modules()}
        self.assertLessEqual({"pure", "interfaces", "loop", "store", "latent", "names"}, layers)

    def test_every_module_has_a_layer(self) -> None:
        self.check(has_a_layer)

    def test_a_module_imports_only_its_own_and_lower_layers(self) -> None:
        self.check(imports_only_lower_layers)

    def test_pure_modules_import_only_pure_libraries(self) -> None:
        self.check(pure_modules_import_only_what_is_pure)

    def test_pure_modules_do_no_io_and_wait_for_nothing(self) -> None:
        self.check(pure_modules_do_nothing)

    def test_only_the_store_knows_sql_and_only_the_edge_knows_buildbot(self) -> None:
        self.check(few_know_the_library)

    def test_few_modules_change_rows(self) -> None:
        self.check(few_change_rows)

    def test_few_modules_call_providers(self) -> None:
        self.check(few_call_providers)

    def test_only_www_knows_the_web(self) -> None:
        self.check(only_www_knows_the_web)

    def test_www_reads_rows_as_people_see_them(self) -> None:
        self.check(www_reads_rows_as_people_see_them)

    def test_every_module_has_a_docstring(self) -> None:
        self.check(has_a_docstring)

    def test_no_module_is_too_long(self) -> None:
        self.check(is_not_too_long)


class PlantedViolationTests(SynchronousTestCase):
    """The rules find what they are for, and say where; and nothing in innocent source."""

    def finds(self, rule, name: str, source: str, *words: str) -> None:  # type: ignore[no-untyped-def]
        (problem,) = rule(Module.parse(name, source))
        self.assertIn(f"{PACKAGE}/{name.replace('.', '/')}.py:", problem)
        for word in words:
            self.assertIn(word, problem)

    def passes(self, rule, name: str, source: str) -> None:  # type: ignore[no-untyped-def]
        self.assertEqual(list(rule(Module.parse(name, source))), [])

    def test_a_module_without_a_layer(self) -> None:
        self.finds(has_a_layer, "helpers", "", "has no layer")
        self.passes(has_a_layer, "planner.survey", "")

    def test_the_longest_name_decides_the_layer(self) -> None:
        self.assertEqual(layer_of("latent.worker"), "buildbot")
        self.assertEqual(layer_of("latent.workers"), "latent")
        self.assertEqual(layer_of("models"), None)

    def test_an_import_of_a_higher_layer(self) -> None:
        rule = imports_only_lower_layers
        for source in (
            "from buildbot_drydock.executor import Executor",
            "from buildbot_drydock import executor",
            "import buildbot_drydock.executor",
            "from . import executor",
            "from .executor import Executor",
            "def late():\n    import buildbot_drydock.executor",
        ):
            self.finds(rule, "model", source, "layer loop", "layer pure may import only pure")
        self.finds(rule, "store.sql", "from ..executor import Executor", "layer loop")
        self.finds(rule, "store.sql", "from buildbot_drydock.latent.local import X", "latent")
        self.finds(rule, "executor", "from buildbot_drydock.store.memory import X", "store")
        self.finds(rule, "latent.local", "from buildbot_drydock.latent.worker import X", "buildbot")
        self.finds(rule, "service", "from buildbot_drydock import Drydock", "layer names")
        self.finds(rule, "service", "from buildbot_drydock.testing import simulator", "testing")
        self.finds(rule, "cli.client", "from buildbot_drydock.reasons import Full", "layer pure")
        self.finds(rule, "service", "from buildbot_drydock.cli import client", "layer cli")
        self.passes(rule, "planner.stock", "from buildbot_drydock import slotlocks, policy")
        self.passes(rule, "latent.worker", "from buildbot_drydock.service import X")

    def test_an_impure_import_in_a_pure_module(self) -> None:
        rule = pure_modules_import_only_what_is_pure
        self.finds(rule, "policy", "\nimport time", ":2:", "imports time")
        self.finds(rule, "planner.stock", "from random import random", "random.random")
        self.finds(rule, "events", "import datetime", "datetime")
        self.finds(rule, "interfaces", "import os.path", "os.path")
        self.passes(rule, "policy", "import math\nfrom collections.abc import Mapping")
        self.passes(rule, "executor", "import time")

    def test_a_pure_module_that_acts(self) -> None:
        self.finds(pure_modules_do_nothing, "policy", "x = open('y')", "open()")
        self.finds(pure_modules_do_nothing, "policy", "async def f(): pass", "no async")
        self.passes(pure_modules_do_nothing, "policy", "opened = max(1, 2)")

    def test_a_library_where_it_is_not_known(self) -> None:
        rule = few_know_the_library
        self.finds(rule, "executor", "import sqlalchemy as sa", "sqlalchemy", "layer loop")
        self.finds(rule, "config", "from alembic import op", "alembic")
        self.finds(rule, "latent.local", "from buildbot.util import service", "buildbot")
        self.finds(rule, "leases", "import buildbot", "buildbot")
        self.passes(rule, "latent.worker", "from buildbot.worker.latent import States")
        self.passes(rule, "store.sql", "import sqlalchemy as sa\nfrom alembic import op")
        self.passes(rule, "executor", "import buildbot_worker")

    def test_a_change_of_rows_elsewhere(self) -> None:
        self.finds(few_change_rows, "controller", "await self._store.move_lease(x)", "move_lease")
        self.finds(few_change_rows, "service", "store.acquire(claims)", "acquire")
        self.finds(few_change_rows, "www.api", "master.drydock.store.renew(x)", "renew")
        self.passes(few_change_rows, "latent.worker", "self._leases.renew(x); lock.acquire()")
        self.passes(few_change_rows, "leases", "store.renew(x)")

    def test_the_web_elsewhere(self) -> None:
        rule = only_www_knows_the_web
        self.finds(rule, "service", "from buildbot.data import base", "buildbot.data")
        self.finds(rule, "config", "import buildbot.www.authz", "buildbot.www")
        self.passes(rule, "www.endpoints", "from buildbot.data import base")
        self.passes(rule, "service", "from buildbot.util.service import BuildbotService")

    def test_rows_with_secrets_in_www(self) -> None:
        rule = www_reads_rows_as_people_see_them
        for source in (
            "from buildbot_drydock.store.sql import SqlStore",
            "from buildbot_drydock.store import rows",
        ):
            self.finds(rule, "www.endpoints", source, "store", "listings")
        self.passes(rule, "www.rows", "from buildbot_drydock.store.usage import Usage")
        self.passes(rule, "service", "from buildbot_drydock.store.sql import SqlStore")

    def test_a_call_of_a_provider_elsewhere(self) -> None:
        rule = few_call_providers
        self.finds(rule, "controller", "await p.inventory()", "inventory")
        self.finds(rule, "service", "self._providers['x'].destroy(token)", "destroy")
        self.finds(rule, "service", "self.provider(name).create(token)", "create")
        self.passes(rule, "provider_calls", "provider.create(token, spec)")
        self.passes(rule, "planner.survey", "world.inventory(name)")
        self.passes(rule, "store.sql", "table.create(connection)")

    def test_a_module_without_a_docstring_or_without_an_end(self) -> None:
        self.finds(has_a_docstring, "model", "x = 1", "docstring")
        self.passes(has_a_docstring, "model", '"""The nouns."""')
        self.finds(is_not_too_long, "model", "\n" * (LONGEST_MODULE + 1), "501 lines")
        self.passes(is_not_too_long, "model", "\n" * LONGEST_MODULE)
