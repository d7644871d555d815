"""Alerts by webhook, none of them lost."""
