"""The pure statistics room: numbers in, numbers out.

It imports nothing of ours, does no I/O, reads no clock and draws no random number but from a generator it is given. Two
rules run through it: a bound that does not exist is None (never a convenient number), and evidence that is not there
proves nothing (no cases: the trivial interval, p-values of 1).
"""
