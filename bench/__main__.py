"""All benchmarks of this machine, as one JSON document."""

import json

from bench import erasing, protocol, relay, room, starting, talk


def main() -> None:
    """One after another, so that none disturbs the next."""
    figures = {
        "protocol": protocol.measure(),
        "room": room.measure(),
        "relay": relay.measure(),
        "talk": talk.measure(),
        "starting": starting.measure(),
        "erasing": erasing.measure(),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
