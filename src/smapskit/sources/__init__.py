"""
All input and output: /proc, saved captures, recordings.

The modules are not public: import names from `smapskit`.
"""
