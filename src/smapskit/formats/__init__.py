"""
Text to the model and back: smaps, smaps_rollup, maps, pmap. Pure functions, no I/O.

The modules are not public: import names from `smapskit`.
"""
