"""Bugs in what stands by to be a worker, and in how it becomes one; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import Bug, planter

STANDBY = ("tests/unit/test_standby.py",)
SCRIPTS = ("tests/unit/test_shell_scripts.py",)
TENANCY = ("tests/unit/test_tenancy.py",)
LOCAL = ("tests/integration/test_local_host.py",)

PROGRAM = "latent/standby.py"
PROCESSES = "remote/shell/processes.py"
HOST = "remote/shell/host.py"

BUGS: list[Bug] = []
_bug = planter(BUGS, "standby")


_bug(
    PROGRAM,
    STANDBY,
    "the tag is not written where others look for it",
    "    ctypes.memmove(getenv(TAG_MARK.encode()), written, room)\n",
)
_bug(
    PROGRAM,
    STANDBY,
    "what it starts does not bear the tag",
    "    os.environ[TAG_MARK] = tag\n",
)
_bug(
    PROGRAM,
    STANDBY,
    "a shortened tag hides the marks behind it",
    '(value + b"\\0").ljust(room, b".")[:room]',
    'value.ljust(room, b"\\0")[:room]',
)
_bug(
    PROGRAM,
    STANDBY,
    "one whose tag others do not see goes on",
    '            raise ValueError("others do not see the tag")\n',
    "            pass\n",
)
_bug(
    PROGRAM,
    STANDBY,
    "it does not go to the working directory",
    "        os.chdir(directory)\n",
)
_bug(
    PROGRAM,
    STANDBY,
    "its output goes nowhere",
    "((nothing, 0), (output, 1), (output, 2))",
    "((nothing, 0), (nothing, 1), (nothing, 2))",
)
_bug(
    "remote/shell/scripts.py",
    STANDBY,
    "it has another language than what is started without it",
    '(\n    LC_ALL=C\n    export LC_ALL\n    umask 077\n    [ -d "$drydock_directory" ]',
    'LC_ALL=C\nexport LC_ALL\n(\n    umask 077\n    [ -d "$drydock_directory" ]',
)
_bug(
    PROCESSES,
    STANDBY,
    "one that does not obey is left running",
    "    drydock_obeys || { drydock_end_standby; drydock_runs; }",
    "    drydock_obeys",
)
_bug(
    PROCESSES,
    STANDBY,
    "one that nobody can reach is taken for one that stands by",
    '    if [ -p "$drydock_orders" ] || [ -p "$drydock_orders.new" ]; then\n',
    "    if :; then\n",
)
_bug(
    PROCESSES,
    STANDBY,
    "orders are given without a look at whether they are followed",
    "    drydock_obeys || { drydock_end_standby; drydock_runs; }",
    "    :",
)
_bug(
    PROCESSES,
    STANDBY,
    "a second one stands by beside the first",
    "if drydock_stands_by; then\n",
    "if false; then\n",
)
_bug(
    HOST,
    STANDBY,
    "any command is given to what stands by",
    "*self._marks.values(), *argv])",
    "*self._marks.values()])",
)
_bug(
    HOST,
    STANDBY,
    "what stands by on behalf of one resource is given to another",
    "[self._directory, *self._marks.values(), *argv]",
    "[self._directory, *argv]",
)
_bug(
    HOST,
    STANDBY,
    "one stands by for a resource that was ended",
    '            "notes": " ".join(map(_note, self._marks.values())),\n',
    '            "notes": "",\n',
)
_bug(
    PROCESSES,
    SCRIPTS,
    "a process is started with half of its file",
    '    drydock_take_input "$drydock_new"\n    mv -f',
    '    (drydock_take_input "$drydock_new")\n    mv -f',
)
_bug(
    "remote/local.py",
    LOCAL,
    "a start that starts nothing writes its file",
    "            if held and not marked(TAG_MARK, tag):\n                try:\n",
    "            if file is not None:\n"
    "                write_atomically(self._directory / file[0], file[1])\n"
    "            if held and not marked(TAG_MARK, tag):\n                try:\n",
)
_bug(
    "latent/process.py",
    TENANCY,
    "the password is among the arguments",
    "            command(self.python),\n            tag",
    "            [*command(self.python), login.password],\n            tag",
)
