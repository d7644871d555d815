"""Records, errors, calendar and manifest shared by every stage; no I/O."""
