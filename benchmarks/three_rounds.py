"""A search in three rounds, coarse, wide and fine, as large as are 1,680, 20,736 and 3,750 sets.

    .venv/bin/python benchmarks/three_rounds.py [--chart search.png]

Each round is `helios sweep`, each next one what `helios rounds write` proposes with other numbers of values, on a year
of the simulated market and an embedded PostgreSQL of its own. Prints what `helios rounds` says; --chart draws pass
rate, ProScore2 and best Sharpe round by round. Ends with code 1 if a command fails or a round has no set that passes.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.sweep_round import prepared_home, settings_for
from helios_pipeline.adapters.postgres.connection import open_database
from helios_pipeline.adapters.postgres.round_history import RoundHistory
from helios_pipeline.reports.figures.convergence import draw_convergence
from tests.helios_home import BTC, HeliosHome

COARSE = {
    "grid.lookback_bars": [48, 96, 192, 288, 384, 480, 576],
    "grid.funding_weight": [0.0, 0.5],
    "grid.entry_z": [1.5, 2.0, 2.5, 3.0, 3.5],
    "grid.exit_z": [0.0, 0.5],
    "grid.max_holding_bars": [96, 192, 288],
    "grid.cooldown_bars": [0, 8],
    "grid.stop_atr": [6.0, 12.0],
}
WIDE = (8, 3, 6, 3, 4, 3, 4)
FINE = (5, 3, 5, 5, 5, 2, 1)
PARAMETERS = [name.removeprefix("grid.") for name in COARSE]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chart", type=Path, help="where the picture goes")
    given = parser.parse_args()
    # Rounds may hold longer than the first one did; a walk-forward that purged less would be refused.
    with prepared_home(settings_for([BTC], 20_736) | COARSE | {"walk_forward.purge_bars": 960}) as home:
        command(home, "sweep")
        for number, counts in enumerate((WIDE, FINE), start=2):
            path = f"round-{number}.toml"
            values = [f"--values={name}={count}" for name, count in zip(PARAMETERS, counts, strict=True)]
            command(home, "rounds", "write", path, *values)
            command(home, "sweep", "--grid", path)
        print(command(home, "rounds"))
        with open_database(home.home, None) as database:
            past = RoundHistory(database.urls.pipeline).rounds()
    if given.chart:
        draw_convergence(past).savefig(given.chart)
    return 0 if all(each.passed > 0 for each in past) else 1


def command(home: HeliosHome, *arguments: str) -> str:
    """What a command says; ends with its error if it fails."""
    began = time.perf_counter()
    done = home.run(*arguments, COLUMNS="160")
    if done.code != 0:
        sys.exit(f"helios {' '.join(arguments)}: {done.err}")
    print(f"helios {' '.join(arguments)}: {time.perf_counter() - began:.1f} s", flush=True)
    return done.out


if __name__ == "__main__":
    sys.exit(main())
