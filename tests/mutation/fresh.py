"""A plugin: what tests have made once and keep is made anew.

mutmut forks each mutant from a process that has run all tests before: without this a mutant would
meet what the unchanged code has made.
"""

import functools
import gc


def pytest_sessionstart() -> None:
    """Caches of the tests alone: those of the code itself hold no results."""
    for each in gc.get_objects():
        if isinstance(each, functools._lru_cache_wrapper) and each.__module__.startswith("tests."):
            each.cache_clear()
