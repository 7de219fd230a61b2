"""All benchmarks of this machine, as one JSON document."""

import json

from bench import cover, dead_relay, erasing, protocol, room, starting, talk
from bench.relay import run as relay


def main() -> None:
    """One after another, so that none disturbs the next."""
    figures = {
        "protocol": protocol.measure(),
        "room": room.measure(),
        "relay": relay.measure(relay.QUICK, rounds=5).document(),
        "talk": talk.measure(),
        "dead_relay": dead_relay.measure(),
        "starting": starting.measure(),
        "erasing": erasing.measure(),
        "cover": cover.measure(),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
