from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from helios_pipeline.core.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("edge", -0.1),
        ("factor_share", 1.1),
        ("edge_half_life", 1.0),
        ("priced_at", datetime(2023, 1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_market_that_could_not_be_made_is_refused_naming_the_rule(make_settings, name, value):
    with pytest.raises(SettingsError, match=name):
        replace(make_settings(), **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("tick", Decimal("0.3")), ("lot", Decimal(10)), ("start_price", Decimal(0)), ("trades_per_day", 5_759)],
)
def test_an_instrument_off_the_grid_is_refused_naming_the_rule(make_settings, name, value):
    with pytest.raises(SettingsError, match=name):
        replace(make_settings().instruments[0], **{name: value})


def test_the_digest_changes_with_any_setting(make_settings):
    settings = make_settings()
    others = [
        replace(settings, seed=8),
        replace(settings, edge=0.1),
        replace(settings, instruments=settings.instruments[:1]),
        replace(settings, factor_share=0.5),
    ]

    assert settings.digest == make_settings().digest
    assert len({settings.digest, *(other.digest for other in others)}) == 5


def test_an_unknown_instrument_is_refused(make_settings):
    with pytest.raises(SettingsError, match="SOLUSDT"):
        make_settings().instrument("SOLUSDT-PERP.BINANCE")
