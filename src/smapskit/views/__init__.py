"""
The model as DataFrames, tables, exports, HTML and plots.

The modules are not public: import names from `smapskit`.
"""
