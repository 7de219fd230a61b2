"""A whole dialogue on one machine: a real relay, three people with vaults of their own, ordinary
commands. Nothing here is used by any other verb.
"""
