"""The same examples on every run, so that a change is to blame when a test fails.

`HYPOTHESIS_PROFILE=long` explores instead: more examples, others each time.
"""

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.register_profile("long", print_blob=True)
settings.load_profile("long" if os.environ.get("HYPOTHESIS_PROFILE") == "long" else "steady")
