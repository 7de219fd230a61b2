"""What an operator does with a relay beside serving it, a deed a file: no command line here."""
