"""Paper trading at a real venue's prices, fees and funding; the account lives in the journal."""
