import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

FOLDER = os.environ.get("HELIOS_REAL_DATA")

ADDED = {
    # In another recording of the same path.
    "/fapi/v1/premiumIndex": {"estimatedSettlePrice"},
    # Added after the recording; listed by the venue's documentation of 2026.
    "/fapi/v1/fundingRate": {"markPrice"},
    "/futures/data/basis": {"annualizedBasisRate"},
}
HERE = {
    "LTCUSDT": "BTCUSDT",
    "BTCUSD": "BTCUSDT",
    "CURRENT_QUARTER": "PERPETUAL",
    "BTCDOMUSDT": "ALLUSDT",
    "1000": "50",
}
"""What is asked here in place of contracts that are not listed, and of more than it takes to see a message."""


def recordings() -> Iterator[pytest.param]:
    for file in sorted((Path(FOLDER) / "fixtures" / "binance_fapi").glob("*.json")) if FOLDER else []:
        for record in json.loads(file.read_text()):
            if record["response"] is not None:
                yield pytest.param(record, id=f"{record['path']}?{record['query']}")


def shape(value: object, *, but: set[str] = frozenset()) -> object:
    """Keys and types of a message: of a list of different types one by one, of other lists each kind once."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items()) if key not in but}
    if isinstance(value, list):
        kinds = [json.dumps(shape(inner, but=but)) for inner in value]
        return kinds if {type(inner) for inner in value} == {int, str} else sorted(set(kinds))
    return type(value).__name__


def keys_of(answer: object) -> set[str]:
    messages = answer if isinstance(answer, list) else [answer]
    return {key for message in messages if isinstance(message, dict) for key in message}


@pytest.mark.skipif(not FOLDER, reason="HELIOS_REAL_DATA is not set: no recorded messages here")
@pytest.mark.parametrize("record", list(recordings()))
def test_an_answer_has_the_keys_and_types_of_the_recorded_one(binance, record):
    query = {name: HERE.get(value, value) for name, value in parse_qsl(record["query"]) if not name.endswith("Time")}

    answer = binance.client.get(record["path"], params=query).json()

    added = ADDED.get(record["path"], set()) - keys_of(record["response"])
    assert answer
    assert shape(answer, but=added) == shape(record["response"])
