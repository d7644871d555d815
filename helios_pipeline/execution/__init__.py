"""What was traded: books kept from records, compared with the venue, replayed against the strategy. Pure functions."""
