"""Stage 4: the compiled kernel and the same strategy in NautilusTrader."""
