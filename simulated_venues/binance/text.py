"""Whole ticks and lots as the decimal text that the venue's messages carry."""

import msgspec
import numpy as np
from aiohttp import web

from simulated_venues.decimal_csv import decimal_csv
from simulated_venues.source import Integers

RATE_DECIMALS = 8


def decimal_text(value: int, decimals: int) -> str:
    """`value` / 10^decimals with all of its decimals."""
    if decimals == 0:
        return str(value)
    whole, rest = divmod(abs(value), 10**decimals)
    return f"{'-' if value < 0 else ''}{whole}.{rest:0{decimals}d}"


def rows_text(columns: list[tuple[Integers, int]]) -> list[list[str]]:
    """A row of texts for each element of some columns, each with its decimals."""
    values = [np.ascontiguousarray(column, np.int64) for column, _ in columns]
    csv = decimal_csv("", values, [decimals for _, decimals in columns])
    return [line.split(",") for line in csv.decode().split("\n")[1:-1]]


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer in JSON."""
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
