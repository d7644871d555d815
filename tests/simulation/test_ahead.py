"""What is compiled ahead is what a sweep calls."""

import pytest

from helios_pipeline.simulation import inputs as simulation_inputs
from helios_pipeline.simulation import kernel, skipping, skips, summary
from helios_pipeline.simulation.ahead import compile_long_steps, compile_run, compile_scores, compile_short_steps
from helios_pipeline.simulation.arrays import records_of
from helios_pipeline.strategy.parameters import ParameterSet

POINT = ParameterSet(
    lookback_bars=8, funding_weight=0.3, entry_z=1.5, exit_z=0.0, max_holding_bars=48, cooldown_bars=2, stop_atr=2.0
)
COMPILED = {
    name: one
    for module in (kernel, simulation_inputs, skipping, skips, summary)
    for name, one in vars(module).items()
    if hasattr(one, "signatures") and one.__module__.startswith("helios_pipeline.simulation.")
}


def signatures():
    return {name: len(one.signatures) for name, one in COMPILED.items()}


@pytest.mark.parametrize("symbols", [("BTCUSDT",), ("BTCUSDT", "ETHUSDT")], ids=["one market", "two"])
def test_a_sweep_compiles_nothing_more(inputs_of, symbols):
    for compile_part in (compile_short_steps, compile_long_steps, compile_scores, compile_run):
        compile_part(len(symbols))
    ahead = signatures()

    inputs = inputs_of(symbols=symbols, mark_prices=True)
    evaluation = kernel.evaluate(inputs, records_of([POINT]), start=0, stop=len(inputs.opened_at))

    assert evaluation.rows[0, 0] > 0
    assert signatures() == ahead
