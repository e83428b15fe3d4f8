"""``python -m buildbot_drydock.inspection BASEDIR``: how a master's database is, as JSON.

``drydock doctor`` runs it, in a process of its own, as it loads the master's configuration.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from buildbot.config.master import FileLoader
from buildbot.db import enginestrategy
from buildbot.scripts.base import getConfigFileFromTac

from buildbot_drydock.store.inspection import Inspected, inspect, look_for_file


def database_of(basedir: str) -> Inspected:
    """Look at the database of the master in *basedir*.

    Raises what loading its configuration raises.
    """
    config: Any = FileLoader(basedir, getConfigFileFromTac(basedir)).loadConfig()
    url = config.db.db_url
    if not isinstance(url, str):
        return Inspected(
            is_fine=True,
            message="its address is a secret that only the master knows: not looked at",
        )
    missing = look_for_file(url, basedir)
    if missing is not None:
        return missing
    engine = enginestrategy.create_engine(url, basedir=basedir)
    try:
        return inspect(engine)
    finally:
        engine.dispose()


def main() -> None:
    found = database_of(sys.argv[1])
    shown = {
        "severity": "ok" if found.is_fine else "problem",
        "message": found.message,
        "remedy": found.remedy,
    }
    print(json.dumps(shown))


if __name__ == "__main__":
    main()
