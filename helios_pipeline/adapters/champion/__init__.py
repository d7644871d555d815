"""The champion as a file, so that an engine without a database can read it."""
