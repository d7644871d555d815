"""Stage 6: fold by fold in-sample choice and out-of-sample result."""
