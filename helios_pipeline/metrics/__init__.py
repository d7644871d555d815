"""Pure functions that measure a return series or a set of trials."""
