"""
The text of smaps, smaps_rollup and maps.

`parse` and `write` are the interface. `reader` turns text into columns, chunk by chunk, with
`uniform` (NumPy) or `lines`; `scan` picks a few fields for the plain table of the command line.
"""
