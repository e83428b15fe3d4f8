"""In which order the waiting leases are looked at: priority, age, and a fair share.

A lease that waits becomes more urgent as time goes by, by one priority each ``ageing_seconds``. So
one that was requested ``(P - p + 1) * ageing_seconds`` before another goes first, if *p* is its
priority and *P* the other's, whoever asks and whatever they hold: only the finitely many that were
requested before that moment can be served before it, and nothing starves.

Among those that are equally urgent it is the turn of whoever holds the fewest leases, those that
were served before in this order included; and of several, or without a fair share, of the oldest.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from math import floor

from buildbot_drydock.authorization import subjects_of
from buildbot_drydock.model import Lease
from buildbot_drydock.quota import OWNER
from buildbot_drydock.sharing import Sharing


def order_of_service(
    waiting: Iterable[Lease], held: Iterable[Lease], sharing: Sharing, now: float
) -> list[Lease]:
    """Return the waiting leases, the first to be served first; *held* are those with a slot."""
    by_urgency: dict[int, list[Lease]] = {}
    for lease in waiting:
        by_urgency.setdefault(urgency(lease, sharing, now), []).append(lease)
    shares: Counter[str] = Counter()
    if sharing.fair_share is not None:
        shares.update(sharer(lease, sharing) for lease in held)
    ordered: list[Lease] = []
    for _, leases in sorted(by_urgency.items(), reverse=True):
        oldest_first = sorted(leases, key=lambda lease: (lease.requested_at, lease.id))
        ordered += _in_turn(oldest_first, shares, sharing)
    return ordered


def urgency(lease: Lease, sharing: Sharing, now: float) -> int:
    """Return the priority that a lease has by now."""
    return lease.priority + floor((now - lease.requested_at) / sharing.ageing_seconds)


def sharer(lease: Lease, sharing: Sharing) -> str:
    """Return in whose share a lease counts; nobody in particular's if nothing is shared."""
    if sharing.fair_share is None:
        return ""
    if sharing.fair_share == OWNER:
        return lease.owner
    prefix = f"{sharing.fair_share}/"
    subjects = subjects_of(lease)
    # Who asks for no builder, or for one without a project, stands for himself.
    return next((each for each in subjects if each.startswith(prefix)), subjects[0])


def _in_turn(leases: list[Lease], shares: Counter[str], sharing: Sharing) -> Iterator[Lease]:
    """Yield leases of equal urgency, and count each in the share of its sharer."""
    queues: dict[str, deque[Lease]] = {}
    for lease in leases:
        queues.setdefault(sharer(lease, sharing), deque()).append(lease)
    turns = [_turn(name, queue, shares) for name, queue in queues.items()]
    heapify(turns)
    while turns:
        *_, name = heappop(turns)
        queue = queues[name]
        yield queue.popleft()
        shares[name] += 1
        if queue:
            heappush(turns, _turn(name, queue, shares))


def _turn(name: str, queue: deque[Lease], shares: Counter[str]) -> tuple[int, float, int, str]:
    return shares[name], queue[0].requested_at, queue[0].id, name
