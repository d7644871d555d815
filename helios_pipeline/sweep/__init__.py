"""Stage 5: grids, rounds, their evaluation on any executor, verdicts, ProScore2 and the trial ledger's keys."""
