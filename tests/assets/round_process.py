"""Runs the round of a settings file in chunks of a few sets and says how many sets are done; made to be killed."""

import sys
from pathlib import Path

import assets.round_run
from assets.rounds import plan_round
from assets.sweep import store_round, sweep_version
from helios_pipeline.definitions import build_research
from helios_pipeline.settings import load_settings

assets.round_run.CHUNK_SIZE = 4


def main(settings: str, database_url: str) -> None:
    research = build_research(load_settings(Path(settings), {}), database_url=database_url)
    plan = plan_round(research)
    version = sweep_version(research, plan)
    result = assets.round_run.run_round(research, plan, version, lambda done, total: print(done, total, flush=True))
    store_round(research, plan, result, version)


if __name__ == "__main__":
    main(*sys.argv[1:])
