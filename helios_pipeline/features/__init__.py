"""Stage 2: what is known at each bar's close."""
