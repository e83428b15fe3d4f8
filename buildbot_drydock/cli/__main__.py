"""``python -m buildbot_drydock.cli``, and the script ``drydock``."""

from __future__ import annotations

import sys

from buildbot_drydock.cli.exits import Exit

NEEDED = ("click", "rich", "httpx", "tomli")


def main() -> None:
    try:
        from buildbot_drydock.cli.program import run
    except ModuleNotFoundError as problem:
        missing = (problem.name or "").partition(".")[0]
        if missing not in NEEDED:
            raise
        print(
            f"drydock: {missing} is not installed.\nRemedy: pip install 'buildbot-drydock[cli]'",
            file=sys.stderr,
        )
        sys.exit(Exit.PROBLEMS)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
