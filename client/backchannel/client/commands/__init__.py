"""One module for each group of verbs; loaded only when one of its verbs runs."""
