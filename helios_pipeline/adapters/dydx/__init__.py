"""dYdX v4: orders by its own Python client, its account from the indexer."""
