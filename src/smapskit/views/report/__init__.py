"""One HTML file about a snapshot, a difference or a recording, which needs no network."""
