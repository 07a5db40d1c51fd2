"""Results as pages for a browser: one file each, that asks nothing of any other machine."""
