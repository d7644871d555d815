"""Reports as files that a browser opens."""
