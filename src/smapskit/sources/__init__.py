"""All input and output: /proc, saved captures, recordings."""
