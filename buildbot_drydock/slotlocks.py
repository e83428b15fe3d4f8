"""The keys of slot locks. Whoever has a key in the database holds what it names."""

from __future__ import annotations


def place(blueprint: str, number: int) -> str:
    """One of the places under a blueprint's limit."""
    return f"blueprint({blueprint}).resource({number})"


def slot(resource: int, number: int) -> str:
    """One of the leases that a resource can carry at once."""
    return f"resource({resource}).lease({number})"


def host(name: str) -> str:
    """A listed machine, whichever blueprint or master lists it."""
    return f"host({name})"


def named(key: str, number: int) -> str:
    """One slot of a user's own cluster-wide lock."""
    return f"named({key}).slot({number})"


def chore(name: str) -> str:
    """What one master at a time does for all of them; its owner is the master, and until when."""
    return f"chore({name})"


def quota(name: str, number: int) -> str:
    """One of the leases that a quota allows."""
    return f"quota({name}).lease({number})"


def quota_of(key: str) -> tuple[str, int] | None:
    """Return which quota a key is of, and which of its leases; ``None`` for any other key."""
    name, found, number = key.removeprefix("quota(").rpartition(").lease(")
    return (name, int(number[:-1])) if key.startswith("quota(") and found else None
