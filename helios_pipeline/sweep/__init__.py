"""Stage 5: one optimization round: grid, evaluation, verdicts, ledger."""
