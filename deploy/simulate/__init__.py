"""All four services in one process on a simulated log: the real handlers and the real turns, broken at any step (X2).

Everything is decided by a seed, so that whatever goes wrong goes wrong again.
"""
