"""The machine beneath: its folders, its memory, its clock and chance."""
