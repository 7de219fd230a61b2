"""A crisis hotline, as a member's program sees it: incidents and whom they call, duty lists, calls
to convene, and whether the line carries; first as folds of what was said, then as a board that is
told.
"""
