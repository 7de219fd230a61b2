"""The rules of Backchannel: pure functions and state machines over bytes.

No I/O, no clock, no entropy of its own: `now` and `entropy` are arguments. The specification is
SPEC.md, two folders up. Imports point downward only, as the import contracts of pyproject.toml say.
"""
