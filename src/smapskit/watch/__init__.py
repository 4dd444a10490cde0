"""
A process watched live, or a recording replayed.

`feed` reads it, `session` knows what grew, `chart` and `lines` draw with characters. Only `screen`
imports textual.
"""
