"""Key files of those who sign champions."""
