"""An indexer that loses, repeats, swaps or delays what it says: nothing is missed, nothing is counted twice."""

import asyncio
from collections import Counter
from decimal import Decimal

import httpx
import pytest

from tests.adapters.dydx.node import BUY, SELL, run, trading

STREAM = ["drop_messages", "duplicate_messages", "reorder_messages", "mute", "hide_fills"]


async def a_round(session):
    """Enter, protect, take the protection away, and leave."""
    trader = session.trader
    assert await session.done(trader.market(BUY, "0.02")) == "FILLED"
    stop = trader.protect(SELL, "0.02", await session.oracle() * Decimal("0.9"))
    await session.accepted(stop)
    trader.cancel_order(stop)
    assert await session.done(stop) == "CANCELED"
    assert await session.done(trader.market(SELL, "0.02", reduce_only=True)) == "FILLED"


@pytest.mark.parametrize("kind", STREAM)
def test_a_bad_stream_costs_time_and_nothing_else(addresses, key, journal, reader, strike, kind):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            strike(kind)
            await a_round(session)
            account = await session.agree(reader)
            assert (account.positions, account.open_orders) == ({}, ())
            assert len(account.fills) >= 2

    run(scenario)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_stream_that_is_bad_now_and_then_costs_nothing_either(addresses, key, journal, reader, strike, share):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            for kind in STREAM:
                strike(kind, share=share)
            for _ in range(2):
                await a_round(session)
            assert (await session.agree(reader)).positions == {}

    run(scenario)


def test_answers_that_nobody_foresaw_are_asked_for_again(addresses, key, journal, reader, monkeypatch):
    answer, odd, times = httpx.Client.get, Counter(), 3

    def get(client, url, **given):
        found, asked = answer(client, url, **given), url.rpartition("/")[2]
        if asked not in odd or odd[asked] == times:
            return found
        odd[asked] += 1
        return httpx.Response(200, json={"height": "none"}, request=found.request)

    async def scenario():
        async with trading(addresses, key, journal) as session:
            odd.update({"height": 0, "fills": 0})
            await session.until(lambda: all(count == times for count in odd.values()))
            await a_round(session)
            account = await session.agree(reader)
            assert (account.positions, account.open_orders) == ({}, ())
            assert len(account.fills) >= 2

    monkeypatch.setattr(httpx.Client, "get", get)
    run(scenario)

    assert odd == {"height": times, "fills": times}


def test_a_muted_stream_is_replaced_while_blocks_go_on(addresses, key, journal, reader, strike, venue):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            connections = session.client.connections
            number = strike("mute")
            # Blocks are known by REST all the same.
            await session.blocks(30)
            await session.until(lambda: session.client.connections > connections)
            venue.faults.stop(number)
            await a_round(session)
            account = await session.agree(reader)
            assert session.client.connections > connections
            assert (account.positions, account.open_orders) == ({}, ())

    run(scenario)


def test_fills_of_the_time_without_a_stream_are_taken_when_it_is_back(addresses, key, journal, reader, strike):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            connections = session.client.connections
            resting = session.trader.limit(BUY, "0.01", await session.oracle() * Decimal("0.98"))
            await session.accepted(resting)
            strike("refuse_connections", seconds=1.5)
            strike("disconnect")
            await a_round(session)
            await session.until(lambda: session.client.connections > connections)
            account = await session.agree(reader)
            assert len(account.fills) >= 2
            assert account.positions == {}
            assert [order.quantity for order in account.open_orders] == [Decimal("0.01")]
            assert resting.is_open

    run(scenario)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "http_status", "value": 429, "share": 0.5},
        {"kind": "http_status", "value": 503, "share": 0.5},
        {"kind": "truncated_response", "share": 0.3},
        {"kind": "slow_response", "value": 400},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('value', '')}",
)
def test_a_bad_rest_interface_is_asked_again(addresses, key, journal, reader, strike, venue, fault):
    async def scenario():
        async with trading(addresses, key, journal) as session:
            strike(where="/v4/*", **fault)
            strike("hide_fills")
            await a_round(session)
            venue.faults.stop_all()
            assert (await session.agree(reader)).positions == {}

    run(scenario)


def test_a_dead_rest_interface_does_not_end_an_order_before_it_is_known(addresses, key, journal, reader, strike, venue):
    async def scenario():
        async with trading(addresses, key, journal, blocks=5) as session:
            strike("http_status", where="/v4/*", value=503)
            strike("hide_fills")
            order = session.trader.market(BUY, "0.01")
            await session.accepted(order)
            await session.blocks(20)
            assert order.status_string() == "ACCEPTED"
            venue.faults.stop_all()
            assert await session.done(order) == "FILLED"
            await session.agree(reader)

    run(scenario)


def test_an_indexer_that_is_behind_does_not_end_an_order_either(addresses, key, journal, reader, strike, venue):
    async def scenario():
        async with trading(addresses, key, journal, blocks=30) as session:
            number = strike("indexer_lag", value=20)
            await asyncio.sleep(0.3)
            order = session.trader.market(BUY, "0.01")
            # The block that it names may be past: then the chain refuses it, until the validator's height is known.
            assert await session.done(order) in ("FILLED", "REJECTED")
            await session.blocks(25)
            assert await session.done(session.trader.market(SELL, "0.01")) == "FILLED"
            venue.faults.stop(number)
            await a_round(session)
            await session.agree(reader)

    run(scenario)


def test_it_connects_to_a_venue_that_answers_badly_at_first(addresses, key, journal, reader, strike):
    async def scenario():
        strike("http_status", where="/v4/*", value=503, count=12)
        strike("refuse_connections", count=2)
        async with trading(addresses, key, journal) as session:
            await a_round(session)
            await session.agree(reader)
            assert session.differences(await asyncio.to_thread(reader.read, session.since)) == []

    run(scenario)
