"""What the program's exit code means. A released number never changes its meaning."""

from enum import IntEnum


class Exit(IntEnum):
    """Documented for scripts; every error of the client names one."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    RELAY = 3
    KEY_CHANGED = 4
    RATE_LIMITED = 5
    REFUSED = 6
    GONE = 7
    LOCKED = 8
    NOT_FOUND = 9
    PARTLY_SENT = 10
    NOTHING_NEW = 11
    OVERDUE = 12
    ALARM = 13
    EXPIRED_UNREAD = 14
    UNSENT = 15
    INTERRUPTED = 130
