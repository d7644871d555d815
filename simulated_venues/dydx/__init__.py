"""dYdX v4 on loopback: a chain with a matching engine, a validator's gRPC, an indexer's REST and WebSocket."""
