"""Great Expectations, and the pages on which people read what it found."""
