"""Run in the peer's own environment: so many events of 4,096 characters, a line each."""

import json
import os
import sys

from aionostr.event import Event
from aionostr.key import PrivateKey


def main() -> None:
    """As a client of that protocol makes them."""
    key = PrivateKey()
    for _ in range(int(sys.argv[1])):
        event = Event(pubkey=key.public_key.hex(), content=os.urandom(2048).hex())
        event.sign(key.hex())
        sent = {name: getattr(event, name) for name in Event.__slots__}
        print(json.dumps(["EVENT", sent], separators=(",", ":")))


if __name__ == "__main__":
    main()
