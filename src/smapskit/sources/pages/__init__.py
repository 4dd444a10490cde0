"""Pages: `pagemap` and `frames` read binary files of /proc, `cache` the page cache of files."""
