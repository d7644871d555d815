"""Simulated venues: the market, its archive, and the venues that serve it."""
