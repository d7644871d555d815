"""What the venue records decides; what is equal agrees, what is missing is found, what else differs is said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_pipeline.core.trading import FundingPayment, Intent, OrderEvent, Transfer, VenueFill
from helios_pipeline.core.venues import VenueAccount, VenueOrder, VenuePosition
from helios_pipeline.execution import reconciliation
from helios_pipeline.execution.books import Books
from helios_pipeline.execution.reconciliation import (
    BelievedOrder,
    CacheExtract,
    ComparisonRules,
    missing_records,
    unlisted_since,
)

ACCOUNT, BTC, ETH = "DYDX-paper", "BTC-USD-PERP.DYDX", "ETH-USD-PERP.DYDX"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
OPENING = Transfer(
    account=ACCOUNT, transfer_id="opening", amount=Decimal(100_000), reason="opening", transferred_at=BEGAN
)
RULES = ComparisonRules(
    settle=timedelta(seconds=60), unlisted=timedelta(seconds=300), settle_blocks=5, quote_rounding=Decimal(0)
)
FLAT = CacheExtract(positions={}, open_orders={})


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


def intent(number=7, **changes):
    made = Intent(
        account=ACCOUNT,
        instrument_id=BTC,
        client_order_id=str(number),
        venue_client_id=number,
        side=1,
        kind="market",
        quantity=Decimal(1),
        limit_price=None,
        trigger_price=None,
        reduce_only=False,
        purpose="entry",
        reason="signal",
        boundary=None,
        atr=None,
        good_til_block=100,
        intended_at=at(10),
    )
    return replace(made, **changes)


def event(state, number=7, seconds=11, venue_order_id="V-7"):
    return OrderEvent(
        account=ACCOUNT,
        client_order_id=str(number),
        state=state,
        venue_order_id=venue_order_id,
        reason="",
        occurred_at=at(seconds),
    )


def fill(name="f1", **changes):
    made = VenueFill(
        account=ACCOUNT,
        instrument_id=BTC,
        venue_fill_id=name,
        venue_order_id="V-7",
        client_order_id=None,
        side=1,
        quantity=Decimal(1),
        price=Decimal(60_000),
        fee=Decimal(30),
        liquidity="taker",
        filled_at=at(12),
    )
    return replace(made, **changes)


def order(number=7, **changes):
    made = VenueOrder(
        venue_order_id=f"V-{number}",
        venue_client_id=number,
        instrument_id=BTC,
        side=1,
        quantity=Decimal(1),
        filled=Decimal(0),
        limit_price=None,
        trigger_price=None,
        reduce_only=False,
        good_til_block=None,
    )
    return replace(made, **changes)


def books_of(*records):
    books = Books(ACCOUNT)
    for record in (OPENING, *records):
        books.apply(record)
    return books


def venue_of(*records, orders=(), height=101, seconds=30):
    """The venue's account, summed without the books."""
    fills = tuple(each for each in records if isinstance(each, VenueFill))
    funding = tuple(each for each in records if isinstance(each, FundingPayment))
    transfers = tuple(each for each in records if isinstance(each, Transfer))
    cash = sum((each.amount for each in (*transfers, *funding)), start=OPENING.amount)
    held: dict[str, Decimal] = {}
    for each in fills:
        cash -= each.side * each.quantity * each.price + each.fee
        held[each.instrument_id] = held.get(each.instrument_id, Decimal(0)) + each.side * each.quantity
    return VenueAccount(
        account=ACCOUNT,
        read_at=at(seconds),
        height=height,
        quote_balance=cash,
        positions={
            each: VenuePosition(quantity=quantity, entry_price=Decimal(1))
            for each, quantity in held.items()
            if quantity
        },
        open_orders=tuple(orders),
        fills=fills,
        funding=funding,
        transfers=transfers,
    )


def compare(books, cache, venue, rules, unlisted=None):
    return reconciliation.compare(books, cache, venue, rules, unlisted or {})


def believed(venue, *open_orders):
    positions = {each: position.quantity for each, position in venue.positions.items()}
    return CacheExtract(positions=positions, open_orders={each: believed_order() for each in open_orders})


def believed_order(venue_order_id=None, seconds=11):
    return BelievedOrder(venue_order_id=venue_order_id, changed_at=at(seconds))


def test_three_that_say_the_same_agree():
    records = (intent(), event("accepted"), fill(client_order_id="7"))
    venue = venue_of(fill())

    found = compare(books_of(*records), believed(venue), venue, RULES)

    assert found.agrees


def test_a_fill_that_only_the_venue_has_is_found_under_our_order():
    venue = venue_of(fill())

    found = compare(books_of(intent(), event("accepted")), FLAT, venue, RULES)

    assert found.missing == (fill(client_order_id="7"),)
    assert found.differences[0] == f"position of {BTC}: journal 0, NautilusTrader 0, venue 1"
    assert found.differences[1] == "quote balance: journal 100000, venue 39970, -60030 apart"


def test_a_fill_of_a_stranger_is_found_as_such():
    venue = venue_of(fill(venue_order_id="V-9"))

    assert compare(books_of(), FLAT, venue, RULES).missing == (fill(venue_order_id="V-9"),)


def test_a_fill_that_an_order_of_unknown_outcome_may_have_made_waits_for_who_can_tell():
    venue = venue_of(fill())

    found = compare(books_of(intent()), FLAT, venue, RULES)

    assert found.missing == ()
    assert not found.agrees


def test_what_the_venue_recorded_before_the_journal_began_is_none_of_its():
    old = fill(filled_at=BEGAN)

    assert missing_records(books_of(), replace(venue_of(), fills=(old,))) == ()


def test_funding_and_transfers_are_found_too_and_in_order():
    paid = FundingPayment(
        account=ACCOUNT,
        instrument_id=BTC,
        settled_at=at(3_600),
        rate=Decimal("0.0001"),
        position_quantity=Decimal(1),
        price=Decimal(60_000),
        amount=Decimal(-6),
    )
    came = Transfer(account=ACCOUNT, transfer_id="t", amount=Decimal(5), reason="deposit", transferred_at=at(20))

    assert compare(books_of(), FLAT, venue_of(paid, came), RULES).missing == (came, paid)


@pytest.mark.parametrize(("height", "gone"), [(105, ()), (106, ("7",))])
def test_an_order_is_gone_when_no_block_can_hold_it_any_more(height, gone):
    for records in ((intent(),), (intent(), event("accepted"))):
        assert compare(books_of(*records), FLAT, venue_of(height=height), RULES).gone == gone


@pytest.mark.parametrize(("seconds", "gone"), [(70, ()), (71, ("7",))])
def test_a_resting_order_that_the_venue_does_not_show_is_gone_after_a_while(seconds, gone):
    resting = intent(good_til_block=None)

    assert compare(books_of(resting), FLAT, venue_of(seconds=seconds), RULES).gone == gone


@pytest.mark.parametrize(("seconds", "gone", "lines"), [(160, (), 0), (161, (), 1), (400, (), 1), (401, ("7",), 1)])
def test_a_resting_order_that_the_venue_had_must_be_missing_for_long(seconds, gone, lines):
    books = books_of(intent(good_til_block=None), event("accepted"))
    venue = venue_of(seconds=seconds)
    unlisted = unlisted_since(books, venue, {"7": at(100)})

    found = compare(books, FLAT, venue, RULES, unlisted)

    assert (found.gone, len(found.differences)) == (gone, lines)
    assert all("rests by the journal, the venue does not list it" in line for line in found.differences)


def test_an_order_is_missing_since_the_look_at_which_it_was_not_shown_first():
    books = books_of(intent(good_til_block=None), event("accepted"))

    first = unlisted_since(books, venue_of(seconds=100), {})
    second = unlisted_since(books, venue_of(seconds=200), first)
    shown = unlisted_since(books, venue_of(seconds=300, orders=[order()]), second)

    assert first == second == {"7": at(100)}
    assert shown == {}


@pytest.mark.parametrize(
    ("state", "lingering"), [("canceled", (("7", "V-7"),)), ("expired", (("7", "V-7"),)), ("filled", ())]
)
def test_an_order_that_rests_at_the_venue_though_it_had_ended_is_lingering(state, lingering):
    found = compare(books_of(intent(), event(state)), FLAT, venue_of(orders=[order()]), RULES)

    assert found.lingering == lingering
    assert not found.agrees


def test_an_order_of_unknown_outcome_that_the_venue_shows_is_not_gone():
    venue = venue_of(orders=[order()], height=999)

    found = compare(books_of(intent()), believed(venue, "7"), venue, RULES)

    assert (found.shown, found.gone) == ((("7", "V-7"),), ())


@pytest.mark.parametrize("records", [(), (intent(77), event("canceled", 77))])
@pytest.mark.parametrize(("seconds", "gone"), [(71, ()), (72, ("77",))])
def test_an_order_that_nautilus_alone_believes_in_is_gone_after_a_while(records, seconds, gone):
    venue = venue_of(seconds=seconds)

    found = compare(books_of(*records), believed(venue, "77"), venue, RULES)

    assert (found.gone, found.agrees) == (gone, not gone)


def test_an_order_of_a_stranger_that_nautilus_gave_a_name_of_its_own_is_known_by_the_venues_id():
    venue = venue_of(orders=[order()], seconds=999)
    named = CacheExtract(positions={}, open_orders={"a-stranger": believed_order("V-7")})

    assert compare(books_of(), named, venue, RULES).gone == ()


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ((), "the journal does not know it"),
        ((intent(), event("canceled")), "the journal says canceled"),
        ((intent(), event("accepted")), "NautilusTrader does not know it"),
    ],
)
def test_an_order_at_the_venue_that_somebody_does_not_know_is_a_difference(records, said):
    found = compare(books_of(*records), FLAT, venue_of(orders=[order()]), RULES)

    (line,) = found.differences
    assert line == f"order V-7 of {BTC}, client id 7: rests at the venue, {said}"


def test_nautilus_alone_being_wrong_is_told_apart():
    records = (intent(), event("accepted"), fill(client_order_id="7"))

    found = compare(books_of(*records), FLAT, venue_of(fill()), RULES)

    assert found.misplaced == (BTC,)
    assert found.differences == (f"position of {BTC}: journal 1, NautilusTrader 0, venue 1",)


def test_balances_may_differ_by_what_the_venue_rounds_for_each_record():
    records = (intent(), event("accepted"), fill(client_order_id="7"))
    venue = replace(venue_of(fill()), quote_balance=Decimal("39969.999999"))
    rounding = replace(RULES, quote_rounding=Decimal("0.000001"))

    assert compare(books_of(*records), believed(venue), venue, rounding).agrees
    assert not compare(books_of(*records), believed(venue), venue, RULES).agrees


sizes = st.integers(1, 50).map(lambda lots: Decimal(lots) / 1_000)
fills = st.builds(
    lambda instrument_id, side, quantity, price, seconds: fill(
        instrument_id=instrument_id,
        side=side,
        quantity=quantity,
        price=price,
        filled_at=at(seconds),
        venue_order_id="V",
    ),
    st.sampled_from([BTC, ETH]),
    st.sampled_from([-1, 1]),
    sizes,
    st.integers(1, 99_999).map(Decimal),
    st.integers(1, 999),
)


@given(st.lists(st.tuples(fills, st.booleans()), max_size=12))
def test_what_is_missing_is_found_whatever_it_is_and_taking_it_in_makes_them_agree(drawn):
    every = [replace(each, venue_fill_id=str(number)) for number, (each, _) in enumerate(drawn)]
    told = [each for each, (_, told) in zip(every, drawn, strict=True) if told]
    books, venue = books_of(*told), venue_of(*every)

    found = compare(books, believed(venue), venue, RULES)
    for record in found.missing:
        books.apply(record)

    assert {each.venue_fill_id for each in found.missing} == {each.venue_fill_id for each in every if each not in told}
    assert compare(books, believed(venue), venue, RULES).agrees


@given(st.lists(fills, min_size=1, max_size=8), st.data())
def test_no_single_fill_can_be_lost_or_doubled_without_a_word(drawn, data):
    every = [replace(each, venue_fill_id=str(number)) for number, each in enumerate(drawn)]
    odd = data.draw(st.sampled_from(every))
    venue = venue_of(*every)
    hidden = replace(venue, fills=tuple(each for each in every if each != odd))  # the venue no longer lists it
    lost = books_of(*(each for each in every if each != odd))
    doubled = books_of(*every, replace(odd, venue_fill_id="again"))

    assert not compare(lost, believed(venue), hidden, RULES).agrees
    assert not compare(doubled, believed(venue), venue, RULES).agrees
