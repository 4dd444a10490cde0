"""
What is known about memory: records, classification, totals, differences. No text, no I/O.

The modules are not public: import names from `smapskit`.
"""
