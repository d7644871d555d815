"""Stage 6: rolling folds, the in-sample choice of each, and what it earned out of sample."""
