"""The bounds of a relay that are its own affair, each with its reason. What clients rely on is in
protocol.limits.
"""

from typing import Final

from backchannel.protocol import limits
from backchannel.protocol.drop import REQUEST_HEAD, Operation

_BLOCKS: Final = REQUEST_HEAD + limits.MOST_BLOCKS * limits.BLOCK
BODY: Final = {
    Operation.CREATE: REQUEST_HEAD + 81,
    Operation.APPEND: _BLOCKS,
    Operation.READ: REQUEST_HEAD + 16,
    Operation.SEAL: _BLOCKS,
    Operation.DELETE: REQUEST_HEAD,
}
"""The most bytes that a request of each operation can have."""

DRAINED: Final = (
    1 << 20
)  # bytes read and dropped of a body too large, so that its sender sees the answer
HEADERS: Final = 16 * 1024  # bytes of one request's line and headers; real ones have some hundred
FLOOR: Final = 0.25  # seconds before the refusal that hides whether a drop exists
RETRY_AFTER: Final = 5  # seconds told to a client that finds no room
WAITING_OF_DROP: Final = 128  # reads that wait at one drop: twice the members that it may have
KEEP_ALIVE: Final = 65  # seconds: longer than a waiting read, so that a client can go on
DESCRIPTORS: Final = 16_384  # connections and files, where the system grants them
SHUTDOWN: Final = 3  # seconds that open requests get when the relay is asked to end
GROUP: Final = 256  # requests of one commit: the last of them waits for all
QUEUED: Final = 2048  # requests that may wait for the writer: about a second of work
READERS: Final = 4  # threads and connections that read
SWEPT: Final = 1000  # rows deleted in one transaction, so that appends get their turn in between
SWEPT_WHEN_FULL: Final = 20  # rows where that many do not go: each is written to the log first
SWEEP_EVERY: Final = 60  # seconds between two looks at the clock
PLACES: Final = (
    4096  # one per hour and class is 3,480: a full disk can then not stop a key from being made
)
MOST_POSITION: Final = 2**63 - 1  # what the store can compare with; no drop gets there
VOUCHERS: Final = 10_000  # of one mint
RESERVED: Final = 64 << 20  # bytes of disk that appends leave to deletions, the log and a restart
CERTIFICATE_DAYS: Final = 14  # days of a certificate under which doctor says: renew
FREE_DISK: Final = 256 << 20  # bytes under which doctor complains
