"""
The output of pmap.

`read` and `rows` parse it into records, `write` and `table` format it. `dialects` and `columns`
describe the tables for both directions.
"""
