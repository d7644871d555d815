"""Stage 6: rolling or anchored folds, the in-sample choice of each, and what it earned out of sample."""
