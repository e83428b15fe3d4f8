"""Bugs in what is deleted of the history; see ``planted_bugs``."""

from __future__ import annotations

from planted_bugs import Bug, planter

TABLES = ("tests/contract/test_retention.py::TestRetentionOnSqlite",)
SERVICE = ("tests/integration/test_retention.py",)

BUGS: list[Bug] = []
_bug = planter(BUGS, "retention")

_bug(
    "store/retention.py",
    TABLES,
    "the newest row goes, and its number is given again",
    "    numbers.discard(connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one())\n",
)
_bug(
    "store/retention.py",
    TABLES,
    "events of living leases go",
    "if row.lease in lease or row.resource in resource}",
    "if row.resource in resource}",
)
_bug(
    "store/retention.py",
    TABLES,
    "events of living resources go",
    "if row.lease in lease or row.resource in resource}",
    "if row.lease in lease}",
)
_bug(
    "store/retention.py",
    TABLES,
    "what has just ended goes",
    "table.c.since < recent)",
    "True)",
)
_bug(
    "store/retention.py",
    TABLES,
    "events of just now go",
    " - {row.id for row in found if row.at >= recent}",
)
_bug(
    "store/retention.py",
    TABLES,
    "what lives goes",
    "sa.and_(table.c.status == _ENDED[table], table.c.since < recent)",
    "table.c.since < recent",
)
_bug(
    "store/retention.py",
    TABLES,
    "a resource goes that a lease names",
    "        return _among(connection, leases.c.resource, numbers)\n",
    "        return set()\n",
)
_bug(
    "store/retention.py",
    TABLES,
    "a lease goes that a resource was built for",
    "        *_among(connection, resources.c.built_for, numbers, living),\n",
)
_bug(
    "store/retention.py",
    TABLES,
    "a lease goes that a resource stands on",
    "        *_among(connection, resources.c.parent_lease, numbers, living),\n",
)
_bug(
    "store/retention.py",
    TABLES,
    "a lease goes that an authorization names",
    "        *_among(connection, authorizations.c.lease, numbers),\n",
)
_bug(
    "store/retention.py",
    TABLES,
    "of rows of one moment, those of the next batch are passed over",
    "later = (c.since > after.value) | ((c.since == after.value) & (c.id > after.id))",
    "later = c.since > after.value",
)
_bug(
    "store/retention.py",
    TABLES,
    "two masters are on duty",
    "    if other != who and float(until) > now:\n        return False\n",
)
_bug(
    "store/retention.py",
    TABLES,
    "a master that was killed is on duty for ever",
    "    if other != who and float(until) > now:\n",
    "    if other != who:\n",
)
_bug(
    "store/retention.py",
    TABLES,
    "a master that was killed waits for itself",
    "    if other != who and float(until) > now:\n",
    "    if float(until) > now:\n",
)
_bug(
    "retention.py",
    TABLES,
    "a master that has done stays on duty",
    "        await retention.end_duty(self._pool, master=self._master)\n",
)
_bug(
    "retention.py",
    TABLES,
    "a master that stops goes on to the end",
    "        while left and not self._stopped:\n",
    "        while left:\n",
)
_bug(
    "service.py",
    SERVICE,
    "limits of a reconfiguration don't count",
    "        self.retention.limits = limits\n",
    "        self.retention.limits = self.retention.limits or limits\n",
)
_bug(
    "store/retention.py",
    TABLES,
    "what counts in the costs of a day goes before that is over",
    "        ended &= costs_nothing | (resources.c.since < bounds.now - DAY_SECONDS)\n",
    "        ended &= costs_nothing | (resources.c.since < bounds.now)\n",
)
