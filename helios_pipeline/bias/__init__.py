"""Beside walk-forward: whether a round deceives itself, by look-ahead, warm-up, costs, delay, or finding nothing."""
