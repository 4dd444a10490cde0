"""
The text of smaps, smaps_rollup and maps: read into records, and written from them.

`parse` and `write` are what others call. Two readers give the same records: `at_once` has
the text of many mappings read by NumPy where all records look alike; `lines` reads
everything else, and says what is wrong. `few` picks a few figures, without records.
"""
