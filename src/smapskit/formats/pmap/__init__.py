"""
The text that pmap prints: read into records (`read`), and written from them (`write`).

`dialects` is the one table of formats that both directions share.
"""
