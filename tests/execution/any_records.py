"""Hypothesis strategies for every kind of journal record, from its own types."""

from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import Literal, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from helios_pipeline.core.trading import RECORD_KINDS
from tests.execution.made_records import ACCOUNT, START

PLAIN = {
    str: st.text(st.characters(codec="utf-8"), max_size=30),
    int: st.integers(-(2**40), 2**40),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**12), max_value=10**12),
    datetime: st.timedeltas(timedelta(-9000), timedelta(9000)).map(lambda since: START + since),
    NoneType: st.none(),
}


OF_ITS_OWN = {
    "account": st.just(ACCOUNT),
    "side": st.sampled_from([-1, 1]),
    "quantity": st.decimals("1e-9", 10**12, places=9),
}


def values(kind) -> st.SearchStrategy:
    """Any value of a field's type."""
    origin = get_origin(kind)
    if origin is Literal:
        return st.sampled_from(get_args(kind))
    if origin is UnionType:
        return st.one_of(*map(values, get_args(kind)))
    if origin is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=5).map(tuple)
    return PLAIN[kind]


def records_of(kind) -> st.SearchStrategy:
    """Any record of a kind, of one account."""
    types = get_type_hints(kind)
    own = {
        field.name: OF_ITS_OWN[field.name] if field.name in OF_ITS_OWN else values(types[field.name])
        for field in fields(kind)
    }
    return st.builds(kind, **own)


any_record = st.one_of(*map(records_of, RECORD_KINDS.values()))
