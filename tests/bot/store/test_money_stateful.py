"""In any order of purchases, jobs, refunds, links, blocks and deletions no credit is lost or paid twice.

A small model follows whose credits those of a shared account are. It reads the rows of the ledger and who
asked for what, and uses none of the queries under test.

A long run: MATINEE_EXAMPLES=2000 MATINEE_STEPS=60 pytest -n0 tests/bot/store/test_money_stateful.py
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.domain.errors import AlreadyLinked, Blocked, InvalidLinkCode, NoSuchPayment, QuotaSpent, TooLate
from bot.domain.quota import Allowance, Caps
from bot.store import admin_decisions, enqueue, ledger, links, payments, people, privacy, queue
from bot.store.connection import Connection
from bot.store.enqueue_cache import EnqueueCache
from bot.store.links import LinkSide
from bot.store.migrate import load_migrations, migrate
from tests.bot.store.conftest import CLIP, NOON
from tests.factories import make_draft

WINDOW = Allowance(credits=2)
USERS = st.sampled_from(["a", "b", "c"])
OWN_ACCOUNT = "SELECT coalesce(home, account) FROM person WHERE key = ?"
SUM = "SELECT coalesce(sum(credits), 0) FROM ledger WHERE purse = 'granted'"


class MoneyStateMachine(RuleBasedStateMachine):
    """Runs the functions behind the store's methods on a real database, one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.names: list[str] = []
        self.jobs: list[int] = []
        self.returned: set[int] = set()  # payments whose money the platform has returned
        self.separated = False
        self.own: dict[int, int] = {}  # own account -> what its user has of the account that they use
        self.own_of_job: dict[int, int] = {}
        self.paid_for: dict[tuple[int, int], int] = {}  # job and paying account -> the own account behind it
        self.newest_entry = 0
        self.blocked: set[str] = set()
        self.cache = EnqueueCache()
        self.c = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
        with tempfile.NamedTemporaryFile() as nothing:
            migrate(self.c, Path(nothing.name), load_migrations())

    def teardown(self) -> None:
        self.c.close()

    def total(self, sql: str) -> int:
        found: int = self.c.execute(sql).fetchone()[0]
        return found

    def own_account(self, key: str) -> int:
        found: int = self.c.execute(OWN_ACCOUNT, (key,)).fetchone()[0]
        return found

    def granted(self, account: int) -> int:
        return ledger.balance(self.c, account, WINDOW, self.now).granted

    def follow_ledger(self) -> None:
        """Bring the model up to date with the rows that the last step added."""
        sql = "SELECT * FROM ledger WHERE id > ? AND purse = 'granted' ORDER BY id"
        for row in self.c.execute(sql, (self.newest_entry,)).fetchall():
            self.newest_entry = row["id"]
            owner = self.owner_of_entry(row)
            if owner is not None:
                self.own[owner] = self.own.get(owner, 0) + row["credits"]
                if row["note"].startswith("payment-back:") and row["credits"] < 0:
                    assert self.own[owner] >= 0, "a refund took the credits of somebody else"

    def owner_of_entry(self, row: sqlite3.Row) -> int | None:
        """The own account whose credits the row changes; None for a move between accounts."""
        place = (row["job"], row["account"])
        if row["kind"] == "reserve" and row["job"] not in self.own_of_job:
            person = self.c.execute("SELECT person FROM job WHERE id = ?", (row["job"],)).fetchone()[0]
            self.own_of_job[row["job"]] = self.own_account(person)
        if row["kind"] == "reserve":
            self.paid_for[place] = self.own_of_job[row["job"]]
        if row["job"] is not None:
            return self.paid_for[place]
        kind, _, number = row["note"].partition(":")
        if kind == "link":
            return None
        payment = row["id"] if kind == "payment" else int(number.partition(":")[0])
        found: int = self.c.execute("SELECT origin FROM payment WHERE id = ?", (payment,)).fetchone()[0]
        return found

    def unspent(self, account: int, own: int) -> int:
        """What the user with this own account could take out of the account that they use."""
        homes = self.c.execute("SELECT home FROM person WHERE account = ? AND home IS NOT NULL", (account,))
        granted, guests = self.granted(account), [home for (home,) in homes.fetchall()]
        parts = {home: max(0, min(self.own.get(home, 0), granted)) for home in guests}
        return parts[own] if own in parts else max(0, granted - sum(parts.values()))

    @contextmanager
    def separated_in_the_model(self, user: str) -> Iterator[None]:
        """Around a step that undoes the links of the user."""
        sql = "SELECT account, home FROM person WHERE account = (SELECT account FROM person WHERE key = ?)"
        guests = [
            (shared, home) for shared, home in self.c.execute(sql, (user,)).fetchall() if home is not None
        ]
        for shared, home in guests:
            self.own[home] = self.unspent(shared, home)
            self.own[shared] = self.granted(shared) - self.own[home]
        yield
        self.follow_ledger()
        for shared, home in guests:
            for place, owner in self.paid_for.items():
                if owner == home and place[1] == shared:
                    self.paid_for[place] = shared

    @rule(user=USERS, credits_=st.integers(1, 6), again=st.booleans())
    def buy(self, user: str, credits_: int, again: bool) -> None:  # noqa: FBT001  (hypothesis passes it by name)
        is_repeated = again and bool(self.names)
        name = self.names[-1] if is_repeated else f"discord:charge{len(self.names)}"
        is_new = payments.record_purchase(self.c, f"discord:{user}", credits_, name=name, now=self.now)
        assert is_new != is_repeated
        self.names = list(dict.fromkeys([*self.names, name]))

    @rule(user=USERS, cost=st.integers(1, 6))
    def spend(self, user: str, cost: int) -> None:
        self.c.execute("SAVEPOINT one")
        try:
            done = enqueue.enqueue(
                self.c, make_draft(user, cost=cost), allowance=WINDOW, pool=None, caps=Caps(),
                enqueue_cache=self.cache, now=self.now,
            )  # fmt: skip
            self.jobs.append(done.number)
        except QuotaSpent:
            self.c.execute("ROLLBACK TO one")
        finally:
            self.c.execute("RELEASE one")

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        with suppress(TooLate):
            queue.cancel(self.c, data.draw(st.sampled_from(self.jobs)), now=self.now)

    @rule()
    def render_next(self) -> None:
        job = queue.claim(self.c, until=self.now, only_job=None, now=self.now)
        if job is not None:
            queue.mark_rendered(self.c, job.id, job.epoch, CLIP, now=self.now)

    @rule(user=USERS, data=st.data())
    def begin_own_refund(self, user: str, data: st.DataObject) -> None:
        offered = payments.payments_of(self.c, f"discord:{user}")
        if offered:
            chosen = data.draw(st.sampled_from(offered))
            row = self.c.execute("SELECT * FROM payment WHERE id = ?", (chosen.id,)).fetchone()
            is_unspent = self.unspent(row["account"], row["origin"]) >= chosen.credits
            assert chosen.fully_refundable == (is_unspent and not chosen.refund_under_way)
            before = self.total(SUM)
            try:
                payments.begin_own_refund(self.c, f"discord:{user}", chosen.id, self.now)
            except NoSuchPayment:
                assert not chosen.fully_refundable
                assert not chosen.refund_under_way
            else:
                withdrawn = 0 if chosen.refund_under_way else chosen.credits
                assert self.total(SUM) == before - withdrawn

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def begin_refund_as_admin(self, data: st.DataObject) -> None:
        with suppress(NoSuchPayment):
            payments.begin_refund(self.c, data.draw(st.sampled_from(self.names)), self.now)

    @rule(accepted=st.booleans(), data=st.data())
    def platform_answers(self, accepted: bool, data: st.DataObject) -> None:  # noqa: FBT001  (as above)
        under_way = payments.refunds_under_way(self.c, "discord")
        if under_way:
            payment = data.draw(st.sampled_from(under_way))
            if accepted:
                assert payment.id not in self.returned
                self.returned.add(payment.id)
                payments.finish_refund(self.c, payment.id)
            payments.cancel_refund(self.c, payment.id, self.now)  # after a success it changes nothing

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def platform_returns_unasked(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names))
        sql = "SELECT id, payer, account FROM payment WHERE name = ?"
        number, payer, account = self.c.execute(sql, (name,)).fetchone()
        sharing = self.c.execute("SELECT key FROM person WHERE account = ?", (account,)).fetchone()
        key = payer or (sharing[0] if sharing else "discord:gone")
        payments.reverse_purchase(self.c, name, payer=key, now=self.now)
        self.returned.add(number)

    @rule(maker=USERS, taker=USERS, both=st.sampled_from([True, True, False]))
    def link(self, maker: str, taker: str, both: bool) -> None:  # noqa: FBT001  (as above)
        sides = [LinkSide(f"discord:{user}", "", "en") for user in (maker, taker)]
        with suppress(AlreadyLinked, Blocked, InvalidLinkCode):
            code = links.create_link_code(self.c, sides[0], self.now)
            request = links.request_link(self.c, sides[1], code, self.now)
            for side in sides if both else sides[:1]:
                links.answer_request(self.c, side.key, request.id, agree=True, now=self.now)
            assert (sides[1].key in links.linked_keys(self.c, sides[0].key)) == both
            assert not self.blocked & {maker, taker}

    @rule(user=USERS)
    def unlink(self, user: str) -> None:
        key = f"discord:{user}"
        with self.separated_in_the_model(key):
            if links.separate(self.c, key, self.now):
                self.separated = True
        assert set(links.linked_keys(self.c, key)) <= {key}

    @rule(user=USERS)
    def forget(self, user: str) -> None:
        self.separated = True
        with self.separated_in_the_model(f"discord:{user}"):
            privacy.delete_personal_data(self.c, f"discord:{user}", self.now)
        assert people.find_account(self.c, f"discord:{user}") is None

    @rule()
    def retention(self) -> None:
        privacy.delete_expired(self.c, before=self.now + 1, now=self.now)
        privacy.blank_ended_jobs(self.c, self.now)

    @rule(user=USERS, holds=st.booleans())
    def block(self, user: str, holds: bool) -> None:  # noqa: FBT001  (as above)
        key = f"discord:{user}"
        sharing = {user, *(other.removeprefix("discord:") for other in links.linked_keys(self.c, key))}
        if holds:
            admin_decisions.block(self.c, key, until=None, reason="spam", now=self.now)
            self.blocked |= sharing
        else:
            assert admin_decisions.unblock(self.c, key) == (user in self.blocked)
            self.blocked -= sharing

    @rule(hours=st.sampled_from([1, 13, 30]))
    def time_passes(self, hours: int) -> None:
        self.now += hours * 3600.0

    @invariant()
    def each_user_has_what_the_model_says(self) -> None:
        self.follow_ledger()
        for (account,) in self.c.execute("SELECT id FROM account").fetchall():
            homes = self.c.execute("SELECT home FROM person WHERE account = ? AND home <> ?", (account,) * 2)
            guests = [home for (home,) in homes.fetchall()]
            is_left = self.c.execute("SELECT 1 FROM person WHERE home = ?", (account,)).fetchone()
            expected = 0 if is_left else sum(self.own.get(each, 0) for each in (account, *guests))
            assert self.granted(account) == expected

    @invariant()
    def a_block_stays_until_an_admin_lifts_it(self) -> None:
        for user in ("a", "b", "c"):
            found = admin_decisions.active_block(self.c, f"discord:{user}", self.now)
            assert (found is not None) == (user in self.blocked)

    @invariant()
    def who_paid_is_known_while_a_refund_is_under_way(self) -> None:
        assert not self.c.execute("SELECT 1 FROM payment WHERE state = 'refunding' AND payer = ''").fetchone()

    @invariant()
    def no_balance_is_below_zero(self) -> None:
        for (account,) in self.c.execute("SELECT id FROM account").fetchall():
            found = ledger.balance(self.c, account, WINDOW, self.now)
            assert found.granted >= 0
            assert 0 <= found.used <= WINDOW.credits

    @invariant()
    def only_refunds_take_credits_away(self) -> None:
        """The moves of links cancel each other out."""
        taken = self.total("SELECT coalesce(sum(taken), 0) FROM payment")
        assert self.total(f"{SUM} AND kind = 'move'") == -taken

    @invariant()
    def the_sum_is_bought_less_spent_less_refunded(self) -> None:
        bought = self.total("SELECT coalesce(sum(credits - taken), 0) FROM payment")
        spent = self.total(f"{SUM} AND job IS NOT NULL")
        assert self.total(SUM) == bought + spent

    @invariant()
    def returned_money_was_withdrawn_or_spent(self) -> None:
        for row in self.c.execute("SELECT * FROM payment").fetchall():
            is_returned = row["id"] in self.returned
            assert (row["state"] == "refunded") == is_returned
            assert not is_returned or row["taken"] + row["owed"] == row["credits"]
        if not self.separated:
            owed = self.total("SELECT coalesce(sum(owed), 0) FROM payment")
            assert owed <= -self.total(f"{SUM} AND job IS NOT NULL")

    @invariant()
    def a_job_is_paid_or_refunded_once(self) -> None:
        for row in self.c.execute(
            "SELECT job.state, job.cost, job.painted, coalesce(sum(credits), 0) AS paid"
            " FROM job LEFT JOIN ledger ON ledger.job = job.id GROUP BY job.id"
        ):
            assert row["paid"] == (0 if row["state"] == "cancelled" and not row["painted"] else -row["cost"])


TestMoneyStateMachine = MoneyStateMachine.TestCase
TestMoneyStateMachine.settings = settings(
    max_examples=int(os.environ.get("MATINEE_EXAMPLES", "60")),
    stateful_step_count=int(os.environ.get("MATINEE_STEPS", "40")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
