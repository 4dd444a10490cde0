"""
Explain what is unusual about the memory of a process: findings over records. No I/O.

The modules are not public: import names from `smapskit`.
"""
