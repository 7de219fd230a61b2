"""What is known, put into documents and words for people. Pure but for looks into the vault."""
