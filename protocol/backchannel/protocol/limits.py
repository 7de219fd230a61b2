"""Every bound of SPEC.md section 21 and the sizes that drawings share, each with its reason."""

from typing import Final

BLOCK: Final = 4096  # one size for everything on a relay
NONCE: Final = 24
TAG: Final = 16
CORE: Final = BLOCK - NONCE - TAG

HASH: Final = 32
ID: Final = 16  # channel, drop, thread, message, generation, prekey ids
SALT: Final = 16
X25519: Final = 32
KEM_PUBLIC: Final = 1184
KEM_CIPHERTEXT: Final = 1088
KEM_SEED: Final = 64
IDENTITY: Final = X25519 + KEM_PUBLIC
BUNDLE: Final = 2 * IDENTITY

ENTRIES: Final = 64  # slots in a group core
SLOT_MAC: Final = 16
PARENTS: Final = 4  # the heads of a few people talking at once
PARTS: Final = 16  # blocks of one long message
POSTS: Final = 256  # a number is one byte
GENERATIONS: Final = 128  # of one sender: 30 days of daily renewal, and of busy days
SKIPPED: Final = 512  # message keys of a line: a day of loss of a talkative peer
USES: Final = 256  # of one export: a use is one byte
USES_SKIPPED: Final = 64  # uses of an export whose key blocks come late or never
EXPORTS: Final = 64  # of a line and direction: key blocks that name an earlier step
PENDING: Final = 256  # cores that wait for a key or a roster
PENDING_OF_ONE: Final = 64  # of them with one claimed sender, so that nobody fills the list
UNFINISHED: Final = 16  # messages of one sender of which parts are missing: 0.7 MB at most
WANTED: Final = 32  # names in one ask
WANTS: Final = {"core": 128, "generation": 16, "step": 16}  # of one sender; only cores are proved
ROSTER_BYTES: Final = 20_480
ROSTER_PIECES: Final = 64
CARD_PIECES: Final = 8
CHARTER_BYTES: Final = 20_000  # fits a card
THREADS_OF_ONE: Final = 8  # that one member began and that live
THREADS: Final = 64  # of a channel at one time
QUOTE: Final = 500  # characters of somebody else's words above one's own
FILE_NAME: Final = 120  # characters
FILE_NAME_BYTES: Final = 240  # file systems take 255, and a suffix may come
FILES_OF_ONE: Final = 4  # of one member that are on their way at one time
FILE_BYTES: Final = 10 * 1024 * 1024  # a report, not a film
FILE_INDEX: Final = 24  # index blocks of a file: 22 name the 2,631 pieces of 10 MiB
NOTE_PARTS: Final = 8  # line blocks of one private note
DIGEST_ROWS: Final = 42  # hours and versions in one digest: it fits one block
DIGEST_REFUSED: Final = 16  # refused cores that a digest names
REFUSED_OF_ONE: Final = 16  # refused posts with one claimed sender: the claim costs nothing
REFUSED: Final = 256
FOREIGN: Final = 4  # unknown rosters of one member that are watched: the honest run ahead by few
COVER_HOURS: Final = 24  # in which so many were heard: a day's talk
UNATTRIBUTED_FEWEST: Final = 4  # people, or a guess is as good as a name
CANDIDATES: Final = 16  # whom one facilitator presents at one time
VOUCHES: Final = 8  # of members, before somebody is admitted
HEADS: Final = 64  # of an epoch's record: one of each author
MERGED: Final = 4  # rival rosters that a successor names
EPOCHS_AHEAD: Final = 8  # in one step: halves count on apart, but nobody uses the numbers up
EPOCH_HOURS: Final = 168  # an epoch turns weekly
YIELD_HOURS: Final = 6  # that a facilitator waits for one of a lower slot to act
SEAL_HOURS: Final = 24  # that an ended epoch's drop waits for those who have not come along
TOPIC: Final = 120  # characters: one line on a screen
ALIAS: Final = 32  # characters
ALIAS_BYTES: Final = 64
URL_BYTES: Final = 256
RELAYS: Final = 8
LIFETIME: Final = 2160  # hours: the longest class of a relay
CLASSES: Final = (24, 72, 168, 336, 720, 2160)  # hours that a drop keeps a block
CLOCK_SKEW: Final = 1  # hours between two honest clocks

MOST_BLOCKS: Final = 64  # of one append or one answer to a read
MOST_WAIT: Final = 60  # seconds of a waiting read

GENERATION_HOURS: Final = 24  # a sender key renews after this long
ASK_AFTER: Final = 30  # seconds before something missed is asked for
ASK_AGAIN: Final = 3600
REPOST_AGAIN: Final = 1800  # seconds in which one core is handed out once, however many ask
REPOST_SPREAD: Final = 4  # seconds more for each member
REPOST_DELAY: Final = 30  # seconds, at most: so that not all holders answer at once
SERVED: Final = 32  # cores that one asker has posted again by each holder in an hour
UNPROVED: Final = 8  # of the names in an ask, those that nobody vouched for
ASKS: Final = 4  # times before a thing is given up as lost
CITED_ASKS: Final = 2  # in vain, before a post that was refused here and cited is an alarm
RIVAL_STANDS: Final = 900  # seconds: whoever honestly came too late has conceded by then
PATIENCE: Final = 7200  # seconds until an unknown roster, or a difference of records, alarms
INTRO_AGAIN: Final = (1, 6, 24)  # hours after which an unanswered intro is posted again; then daily
