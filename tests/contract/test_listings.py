"""Listings in SQL: as a plain model answers, on each database, and reading no more than they may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from buildbot_drydock.queries import MOST_LIMIT, Condition, Query, QueryProblem, select
from buildbot_drydock.store import listings
from buildbot_drydock.store.listings import EVENTS, LEASES, RESOURCES, Listings, answer
from buildbot_drydock.store.schema import events, leases
from tests.contract.databases import (
    MARIADB,
    POSTGRESQL,
    OnMariadb,
    OnPostgresql,
    OnSqlite,
    make_empty,
    make_pool,
    needs,
)
from tests.contract.listed_rows import (
    CANARY,
    TABLES,
    event_row,
    expected,
    insert_all,
    lease_row,
    queries,
    shown,
)

MANY = settings(max_examples=60, suppress_health_check=list(HealthCheck))


class ListingContract(TestCase):
    url: Callable[[], str]

    async def setUp(self) -> None:  # type: ignore[override]
        self.pool = make_pool(self, self.url())
        await make_empty(self.pool)
        self.listings = Listings(self.pool)

    async def fill(self) -> None:
        await self.pool.do_with_transaction(insert_all)

    async def test_what_is_listed_is_what_a_plain_model_lists(self) -> None:
        await self.fill()
        asked: list[tuple[str, Query]] = []

        @MANY
        @given(st.data())
        def collect(data: Any) -> None:
            for name in TABLES:
                asked.append((name, data.draw(queries(name))))

        collect()
        full = 0
        for name, query in asked:
            found = await self.listings.page(TABLES[name][0], query)
            self.assertEqual(found, expected(name, query), (name, query))
            full += bool(found.rows)
        self.assertGreater(full, len(asked) // 10)

    async def test_all_rows_are_listed_if_nothing_is_asked_for(self) -> None:
        await self.fill()
        for name, (listing, *_) in TABLES.items():
            page = await self.listings.page(listing, Query())
            self.assertEqual(page.rows, shown(name))
            self.assertEqual(await self.listings.rows(listing, [2, 1, 10**12]), shown(name)[:2])

    async def test_whole_numbers_and_others_may_be_asked_for_together(self) -> None:
        await self.fill()
        for operator in ("eq", "ne"):
            query = Query(conditions=(Condition("hourly_price", operator, (127, 0.25)),))
            self.assertEqual(
                await self.listings.page(RESOURCES, query), expected("resources", query)
            )

    async def test_each_field_can_be_asked_for_alone(self) -> None:
        await self.fill()
        for name, (listing, *_) in TABLES.items():
            for field in listing.fields:
                query = Query(fields=(field,))
                self.assertEqual(await self.listings.page(listing, query), expected(name, query))

    async def test_no_row_shows_what_it_keeps_to_itself(self) -> None:
        await self.fill()
        for listing, *_ in TABLES.values():
            page = await self.listings.page(listing, Query())
            self.assertNotIn(CANARY, repr(page))

    async def test_a_damaged_object_is_shown_as_an_empty_one(self) -> None:
        row = lease_row(1) | {"attributes": "[1", "returns": "{}"}
        await self.pool.do_with_transaction(lambda c: c.execute(leases.insert(), [row]).close())
        (found,) = (await self.listings.page(LEASES, Query())).rows
        self.assertEqual((found["attributes"], found["returns"], found["build"]), ({}, [], None))

    async def test_what_would_have_to_look_through_too_much_is_refused_with_a_way_out(self) -> None:
        self.patch(listings, "MOST_READ", 20)
        await self.fill()
        rare = Condition("actor", "contains", ("@",))
        scarce = Query(conditions=(rare,), order=("-eventid",), limit=30)
        failure = await self.assertFailure(
            Deferred.fromCoroutine(self.listings.page(EVENTS, scarce)), QueryProblem
        )
        self.assertIn("eventid__gt=60", str(failure))
        narrowed = Query(
            conditions=(rare, Condition("eventid", "gt", (60,))), order=("-eventid",), limit=30
        )
        page = await self.listings.page(EVENTS, narrowed)
        self.assertEqual(page, expected("events", narrowed))
        enough = Query(conditions=(rare,), order=("-eventid",), limit=10)
        page = await self.listings.page(EVENTS, enough)
        self.assertEqual(page.rows, expected("events", enough).rows)

    async def test_counting_ends_where_reading_ends(self) -> None:
        self.patch(listings, "MOST_READ", 20)
        await self.fill()
        self.assertEqual((await self.listings.page(EVENTS, Query(limit=5))).total, 21)

    async def test_what_no_listing_answers_is_refused(self) -> None:
        for query, words in (
            (Query(order=("owner",)), "order: rows cannot be ordered by owner; give leaseid"),
            (Query(order=("leaseid", "since")), "order"),
            (Query(order=("nonce",)), "nonce: there is no such field"),
            (Query(fields=("nonce",)), "nonce"),
            (Query(conditions=(Condition("nonce", "eq", ("x",)),)), "nonce"),
            (Query(conditions=(Condition("requires", "eq", ("x",)),)), "requires"),
            (Query(conditions=(Condition("owner", "lt", ("x",)),)), "owner__contains"),
            (Query(conditions=(Condition("owner", "eq", ("a\0",)),)), "owner"),
            (Query(conditions=(Condition("priority", "eq", (2**31,)),)), "out of range"),
            (Query(conditions=(Condition("leaseid", "eq", tuple(range(101))),)), "101"),
            (Query(limit=-1), "limit"),
            (Query(limit=MOST_LIMIT + 1), "limit"),
            (Query(offset=-1), "offset"),
            (Query(offset=10**30), "offset: a number of more than 20 digits"),
        ):
            failure = await self.assertFailure(
                Deferred.fromCoroutine(self.listings.page(LEASES, query)), QueryProblem
            )
            self.assertIn(words, str(failure))


class TestListingsOnSqlite(OnSqlite, ListingContract):
    async def test_a_page_costs_the_same_however_much_has_happened(self) -> None:
        """Counted in steps of SQLite's machine, of which reading a row takes several."""
        self.patch(listings, "MOST_READ", 200)
        asked = [
            (EVENTS, Query()),
            (EVENTS, Query(order=("-eventid",), offset=100)),
            *(
                (EVENTS, Query(order=("-eventid",), conditions=(Condition(field, "eq", (value,)),)))
                for field, value in (
                    *(("kind", "lease-broken"), ("blueprint", "linux")),
                    *(("resourceid", 1), ("leaseid", 3)),
                )
            ),
            (EVENTS, Query(conditions=(Condition("actor", "contains", ("ana",)),), limit=20)),
            (LEASES, Query(order=("-leaseid",))),
            (LEASES, Query(order=("-since",), conditions=(Condition("since", "gt", (100.0,)),))),
            (LEASES, Query(conditions=(Condition("status", "ne", ("destroyed",)),))),
            (
                LEASES,
                Query(
                    conditions=(
                        Condition("status", "in", ("pending", "active")),
                        Condition("builder", "eq", ("linux",)),
                    ),
                    limit=10,
                ),
            ),
        ]
        few = await self.steps(asked, 2_000)
        many = await self.steps(asked, 20_000)
        for (_, query), before, after in zip(asked, few, many, strict=True):
            self.assertLess(after, before * 1.5 + 1000, query)

    async def steps(self, asked: list[Any], number: int) -> list[int]:
        def work(connection: Connection) -> list[int]:
            for table, row in ((events, event_row), (leases, lease_row)):
                connection.execute(table.delete())
                connection.execute(table.insert(), [row(each) for each in range(1, number + 1)])
            counts = []
            driver: Any = connection.connection.driver_connection
            for listing, query in asked:
                steps = [0]
                driver.set_progress_handler(lambda steps=steps: steps.append(1), 10)
                answer(connection, listing, query)
                driver.set_progress_handler(None, 10)
                counts.append(10 * len(steps))
            connection.rollback()
            return counts

        counted: list[int] = await self.pool.do(work)
        return counted


@needs(POSTGRESQL)
class TestListingsOnPostgresql(OnPostgresql, ListingContract):
    pass


@needs(MARIADB)
class TestListingsOnMariadb(OnMariadb, ListingContract):
    pass


class TestRowsInMemory(TestCase):
    def test_rows_in_memory_are_listed_in_the_same_way(self) -> None:
        @settings(max_examples=300, suppress_health_check=list(HealthCheck))
        @given(st.data())
        def answers(data: Any) -> None:
            for name, (listing, *_) in TABLES.items():
                query = data.draw(queries(name))
                order = () if not query.order else (*query.order, _key(query.order[0], name))
                self.assertEqual(
                    select(shown(name), replace(query, order=order), listing.kinds),
                    expected(name, query),
                )

        answers()

    def test_what_is_not_known_comes_first(self) -> None:
        rows = [{"resourceid": 1, "since": 2.0}, {"resourceid": 2, "since": None}]
        kinds = {name: RESOURCES.kinds[name] for name in ("resourceid", "since")}
        page = select(rows, Query(order=("since",)), kinds)
        self.assertEqual([row["resourceid"] for row in page.rows], [2, 1])
        page = select(rows, Query(order=("-since",)), kinds)
        self.assertEqual([row["resourceid"] for row in page.rows], [1, 2])


def _key(order: str, name: str) -> str:
    return f"{'-' if order.startswith('-') else ''}{name[:-1]}id"


del ListingContract  # or it would be collected, without a database
