"""The Parquet lake: one file per asset partition, replaced whole."""
