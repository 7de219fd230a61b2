"""Backchannel for a person: vault, network, command line."""
