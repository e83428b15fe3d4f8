"""The program that stands by to be a worker: it has imported everything, and waits for its orders.

It runs on the host. Its source is sent there, so it needs nothing but the standard library of
Python 3.7, on Linux. ``python -c SOURCE MODULE ... -- ARGUMENT ...`` imports modules, and becomes
``twistd ARGUMENT ...`` as soon as it has its orders: three lines on standard input, with the working
directory, the log and the tag. That is a named pipe, ``NAME.new``; it is called ``NAME`` as soon as
somebody reads it.

Whoever looks for its tag reads the environment that the system shows of a process: the memory that it
was started with. So there the tag is written, over a longer one, and read back as others see it. A
process for which this does not work ends, and another one is started in its place.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import threading

TAG_MARK = "DRYDOCK_TAG"
SHOWN = "/proc/self/environ"
NEW = ".new"


def bear(tag: str) -> None:
    """Mark this process with a tag, and all that it starts. Raises ``ValueError`` if it can't be."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    room = len(os.environ[TAG_MARK])
    value = tag.encode()
    # An empty variable behind it would be taken for the end of all by some who look.
    written = (value + b"\0").ljust(room, b".")[:room]
    ctypes.memmove(getenv(TAG_MARK.encode()), written, room)
    os.environ[TAG_MARK] = tag
    with open(SHOWN, "rb") as shown:
        if b"=".join((TAG_MARK.encode(), value)) not in shown.read().split(b"\0"):
            raise ValueError("others do not see the tag")


def obey() -> None:
    """Wait for orders and follow them, whatever has been imported by then."""
    try:
        pipe = os.readlink("/proc/self/fd/0")
        os.rename(pipe, pipe[: -len(NEW)])
        orders = b""
        while orders.count(b"\n") < 3:
            orders += os.read(0, 65536)
        directory, log, tag = os.fsdecode(orders).split("\n")[:3]
        os.chdir(directory)
        if "PWD" in os.environ:
            os.environ["PWD"] = directory
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDWR)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.close(output)
        os.close(nothing)
        bear(tag)
    except BaseException:  # noqa: BLE001 - nobody waits for this process any more
        os._exit(1)


def main(arguments: list[str]) -> None:
    # What lies in the working directory must not be taken for a module.
    sys.path[:] = [each for each in sys.path if each]
    end = arguments.index("--")
    obeying = threading.Thread(target=obey, daemon=True)
    obeying.start()
    for name in arguments[:end]:
        importlib.import_module(name)
    obeying.join()
    from twisted.scripts.twistd import run

    sys.argv = ["twistd", *arguments[end + 1 :]]
    run()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1:])
