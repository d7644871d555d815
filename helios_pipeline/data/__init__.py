"""Stage 1: parse, verify, aggregate and validate market data."""
