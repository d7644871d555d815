"""Places and cancels orders with ccxt and prints what it learned as JSON; run as a program of its own.

ccxt brings dYdX's message definitions along under names that v4-proto registers too, so the two can't live in one
process.
"""

import json
import sys
import time

import ccxt


def main(url, key, address):
    venue = ccxt.dydx(
        {
            "walletAddress": address,
            "options": {"privateKey": key},
            "urls": {"api": {"indexer": f"{url}/v4", "nodeRpc": url, "nodeRest": url}},
        }
    )
    symbol = "BTC/USDC:USDC"
    venue.load_markets()
    # ccxt 4.5.90 calculates with these as text, though they are numbers at the venue and its Python leaves them so.
    for name in ("atomicResolution", "quantumConversionExponent"):
        venue.market(symbol)["info"][name] = str(venue.market(symbol)["info"][name])
    book = venue.fetch_order_book(symbol)
    ask = book["asks"][0][0]

    taken = venue.create_order(symbol, "market", "buy", 0.01, ask * 1.02)
    rested = venue.create_order(symbol, "limit", "buy", 0.02, round(ask * 0.9))
    until(lambda: venue.fetch_positions())
    until(lambda: venue.fetch_open_orders(symbol))
    opened = venue.fetch_open_orders(symbol)
    position = venue.fetch_positions()[0]
    canceled = venue.cancel_order(str(rested["clientOrderId"]), symbol)
    until(lambda: not venue.fetch_open_orders(symbol))
    refused = ""
    try:
        venue.create_order(symbol, "limit", "buy", 1_000_000, round(ask * 0.9))
    except ccxt.BaseError as error:
        refused = str(error)
    print(
        json.dumps(
            {
                "taken": venue.fetch_order(taken["id"]),
                "opened": opened,
                "position": position,
                "canceled": canceled,
                "orders": venue.fetch_orders(symbol),
                "closed": venue.fetch_closed_orders(symbol),
                "balance": venue.fetch_balance(),
                "deposits": venue.fetch_deposits(),
                "accounts": venue.fetch_accounts(),
                "refused": refused,
            }
        )
    )


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
