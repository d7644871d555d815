"""Edges: each adapter translates for one outside system and decides nothing."""
