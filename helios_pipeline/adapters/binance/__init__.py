"""Binance USD-M: the public archive and the REST tail."""
