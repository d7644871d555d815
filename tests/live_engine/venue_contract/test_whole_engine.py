"""Binance, traded on paper by the whole engine: nothing but the settings says which venue it is."""

from pathlib import Path

import pytest

from helios_pipeline.core.trading import InferredFill, Intent, Reconciliation, VenueFill
from tests.live_engine.agreement import Told, broken_rules, copy_differences
from tests.live_engine.harness import EAGER, await_that, fast_world, installation

SECONDS = 90.0


@pytest.mark.timeout(300)
def test_binance_is_traded_on_paper_through_a_kill(tmp_path: Path):
    with fast_world(tmp_path / "venues", markets=2) as world, installation(world, venue="BINANCE") as home:
        home.promote(EAGER)
        first = home.engine()
        first.await_trading()
        await_that(lambda: len(home.records(VenueFill)) >= 2, "two fills", SECONDS, first.tail)
        first.kill()
        before = len(home.records(VenueFill))
        second = home.engine()
        status = second.await_trading()
        await_that(lambda: len(home.records(VenueFill)) > before, "a fill after the kill", SECONDS, second.tail)
        second.stop()
        told = Told(records=tuple(home.journal()))

        assert status.account == "BINANCE-paper"
        assert {intent.instrument_id for intent in told.of(Intent)} <= {"BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE"}
        assert [each.differences for each in told.of(Reconciliation) if not each.agreed] == []
        assert told.of(InferredFill) == []
        assert broken_rules(told) == []
        assert copy_differences(told, home.database.urls.live, home.account) == []
