"""`python -m backchannel.server`: the same program, found without its name in the PATH."""

from backchannel.server.cli import main

main()
