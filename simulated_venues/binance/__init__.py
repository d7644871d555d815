"""Binance USD-M futures on loopback: archive, REST and WebSocket streams over one market."""
