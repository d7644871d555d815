"""Recorded real data as a venue's market: archive bars, or the raw messages of a few minutes."""
