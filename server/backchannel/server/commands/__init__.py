"""The operator's verbs, a file for each group of them: words in and out, and no rule."""
