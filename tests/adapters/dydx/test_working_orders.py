from decimal import Decimal

import pytest

from helios_pipeline.adapters.dydx.order_ids import OrderFlags
from helios_pipeline.adapters.dydx.working_orders import ShownOrder, Verdict, WorkingOrder, judge, read_shown

SHORT, LONG = OrderFlags.SHORT_TERM, OrderFlags.LONG_TERM


def make_order(flags=SHORT, *, filled="0", status=None, shown_filled="0", **values):
    shown = None if status is None else ShownOrder(status=status, filled=Decimal(shown_filled), reason="")
    return WorkingOrder(
        client_order_id="7",
        venue_order_id="a",
        instrument_id="BTC-USD-PERP.DYDX",
        flags=flags,
        client_id=7,
        quantity=Decimal(1),
        last_block=100,
        filled=Decimal(filled),
        shown=shown,
        **values,
    )


@pytest.mark.parametrize(
    ("order", "read_height", "verdict"),
    [
        pytest.param(make_order(), 100, Verdict.WAIT, id="may still be in its last block"),
        pytest.param(make_order(), 101, Verdict.GONE, id="in no block until its last one"),
        pytest.param(make_order(LONG), 100, Verdict.WAIT, id="its transaction may still be included"),
        pytest.param(make_order(LONG), 101, Verdict.GONE, id="its transaction was in no block"),
        pytest.param(make_order(LONG, status="OPEN"), 500, Verdict.ACCEPT, id="rests"),
        pytest.param(make_order(LONG, status="OPEN", accepted=True), 500, Verdict.WAIT, id="rests, which was told"),
        pytest.param(make_order(OrderFlags.CONDITIONAL, status="UNTRIGGERED"), 500, Verdict.ACCEPT, id="a stop rests"),
        pytest.param(make_order(filled="1"), 50, Verdict.DONE, id="filled, whatever is shown"),
        pytest.param(make_order(filled="1", status="CANCELED", shown_filled="0"), 50, Verdict.DONE, id="filled late"),
        pytest.param(make_order(status="FILLED", shown_filled="1"), 101, Verdict.WAIT, id="its fills are missing"),
        pytest.param(make_order(status="CANCELED", shown_filled="0.4"), 99, Verdict.WAIT, id="a fill is missing"),
        pytest.param(make_order(filled="0.4", status="CANCELED", shown_filled="0.4"), 99, Verdict.GONE, id="canceled"),
        pytest.param(make_order(status="BEST_EFFORT_CANCELED"), 100, Verdict.WAIT, id="a validator says it is gone"),
        pytest.param(make_order(status="BEST_EFFORT_CANCELED"), 101, Verdict.GONE, id="and now it is"),
        pytest.param(make_order(status="BEST_EFFORT_OPENED"), 101, Verdict.GONE, id="opened, and then nothing"),
        pytest.param(
            make_order(LONG, status="OPEN", accepted=True, cancel_until=90), 90, Verdict.WAIT, id="being canceled"
        ),
        pytest.param(
            make_order(LONG, status="OPEN", accepted=True, cancel_until=90),
            91,
            Verdict.CANCEL_FAILED,
            id="not canceled",
        ),
    ],
)
def test_an_order_ends_by_what_can_not_change_any_more(order, read_height, verdict):
    assert judge(order, read_height) is verdict


def test_nothing_follows_a_final_status():
    order = make_order()
    order.show(ShownOrder(status="CANCELED", filled=Decimal("0.4"), reason="user_canceled"))
    order.show(ShownOrder(status="BEST_EFFORT_OPENED", filled=Decimal(0), reason=""))
    assert order.shown.status == "CANCELED"
    order.show(ShownOrder(status="FILLED", filled=Decimal(1), reason=""))
    assert order.shown.status == "FILLED"


def test_only_what_is_known_to_rest_is_not_asked_for():
    assert make_order().is_urgent
    assert make_order(status="OPEN").is_urgent
    assert make_order(LONG).is_urgent
    assert not make_order(LONG, status="OPEN").is_urgent
    assert make_order(LONG, status="OPEN", cancel_until=5).is_urgent


def test_a_document_of_an_order_is_read():
    shown = read_shown(
        {"status": "CANCELED", "totalFilled": "0.1", "removalReason": "ORDER_REMOVAL_REASON_USER_CANCELED"}
    )
    assert shown == ShownOrder(status="CANCELED", filled=Decimal("0.1"), reason="user_canceled")
    assert read_shown({"status": "UNTRIGGERED"}).filled == 0
