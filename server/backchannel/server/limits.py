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
UNREAD: Final = 512  # answers whose clients are slow to read them: 128 MiB at the most
HEADERS: Final = 16 * 1024  # bytes of one request's line and headers; real ones have some hundred
FIELDS: Final = 100  # headers of one request: a short one takes thirty times its bytes
NEWEST: Final = 4096  # blocks in memory, 16 MiB: what members read in the moment it is written
DOORS: Final = 16_384  # drops whose keys are known in memory, some 600 bytes each
FLOOR: Final = 0.25  # seconds before the refusal that hides whether a drop exists
RETRY_AFTER: Final = 5  # seconds told to a client that finds no room
RATED: Final = 16_384  # drops whose spending is remembered: a minute's, at 270 drops a second
WAITING_OF_DROP: Final = 128  # reads that wait at one drop: twice the members that it may have
KEEP_ALIVE: Final = 65  # seconds: longer than a waiting read, so that a client can go on
HANDSHAKE: Final = 30.0  # seconds of TLS at most: until then a connection is in no count
DESCRIPTORS: Final = 16_384  # connections and files, where the system grants them
SHUTDOWN: Final = 3  # seconds that open requests get when the relay is asked to end
LINGER: Final = 1.0  # seconds that silent connections get when another relay follows
STARTING: Final = 600  # seconds that a worker gets until it serves: it may have to migrate
BACK_OFF: Final = (1.0, 60.0)  # seconds before a worker that ended is followed: the first, the most
STEADY: Final = 60.0  # seconds after which a worker's end has nothing to do with its beginning
GROUP: Final = 256  # requests of one commit: the last of them waits for all
QUEUED: Final = 2048  # requests that may wait for the writer: about a second of work
LOG_PAGES: Final = 8192  # of 4,096 bytes, after which the log goes into the database: 32 MiB
TRIES: Final = 3  # times that a transaction is tried again which the store did not let pass
READERS: Final = 4  # threads and connections that read
SWEPT: Final = 64  # rows deleted in one transaction: appends that share it wait that much longer
THINNED: Final = 512  # rows of a drop that is deleted, in one transaction: its client waits for all
SWEPT_AT_START: Final = 1000  # rows, before anybody waits
SWEPT_WHEN_FULL: Final = 20  # rows where that many do not go: each is written to the log first
SWEEP_EVERY: Final = 60  # seconds between two looks at the clock
PLACES: Final = (
    4096  # one per hour and class is 3,480: a full disk can then not stop a key from being made
)
MOST_POSITION: Final = 2**32 - 1  # of a drop: 16 TiB of blocks, where no drop gets
VOUCHERS: Final = 10_000  # of one mint
RESERVED: Final = 64 << 20  # bytes of disk that appends leave to deletions, the log and a restart
CERTIFICATE_DAYS: Final = 14  # days of a certificate under which doctor says: renew
LOG_ROOM: Final = 40 << 20  # bytes of disk for the log, also where blocks fill the store's own gaps
FREE_DISK: Final = 256 << 20  # bytes under which doctor complains, and nobody new is taken
FREE_MEMORY: Final = 64 << 20  # bytes under which nobody new is taken: some thousand connections
LOOK_EVERY: Final = 1  # seconds between two looks at disk and memory
NO_BLOCKS_AFTER: Final = 60  # seconds told where the disk is full: somebody must make room
NO_DROPS_AFTER: Final = 600  # seconds told to who is new: blocks end by the hour
