"""Stage 7: gates, holdout and the decision to promote or refuse."""
