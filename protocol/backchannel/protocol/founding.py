"""How a channel begins: a facilitator, a first roster, a fresh epoch: SPEC.md sections 5 and 9."""

import unicodedata

import msgspec

from backchannel.protocol import epoch, limits
from backchannel.protocol.alias import check_alias
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.format import check_format
from backchannel.protocol.identity import BundleKeys, identity_hash
from backchannel.protocol.roster import Disclosure, Entry, Policy, Relay, Roster, charter_hash
from backchannel.protocol.secret import CloseSecret, EpochSeed
from backchannel.protocol.snapshot import FORMAT
from backchannel.protocol.state import ChannelState
from backchannel.protocol.transcript import Transcript
from backchannel.protocol.types import ChannelId, Slot, Timestamp, hour_of


def found(
    founder: Entry,
    name: str,
    relays: tuple[Relay, ...],
    policy: Policy,
    charter: str,
    disclosure: Disclosure,
    now: Timestamp,
    entropy: Entropy,
) -> tuple[ChannelState, EpochClock]:
    """The founder's state and clock. `LocalProtocolError`, `DecodeError` or `RefusedError` for what
    no newcomer would take.
    """
    charter = unicodedata.normalize("NFC", charter)
    if founder.role != "facilitator" or not 1 <= len(charter.encode()) <= limits.CHARTER_BYTES:
        msg = "a channel begins with a facilitator, and a charter of 1 to 20,000 bytes"
        raise LocalProtocolError(msg)
    hour, keys = hour_of(now), BundleKeys.draw(entropy)
    secret, value = epoch.begin(EpochSeed(entropy.draw(32)))
    entry = msgspec.structs.replace(founder, slot=0, identity=identity_hash(keys.identity.public()))
    roster = Roster(
        entropy.draw(limits.ID),
        1,
        bytes(limits.HASH),
        (),
        0,
        hour,
        0,
        epoch.commitment(secret, hour, value),
        relays,
        policy,
        charter_hash(charter),
        disclosure.hash,
        (),
        (entry,),
    )
    Roster.parse(roster.pack())
    check_format(policy, roster.entries)
    close = CloseSecret(entropy.draw(32))
    first = Epoch(epoch.epoch_id(secret), 0, secret, relays, hour, close)
    state = ChannelState(
        format=FORMAT,
        id=ChannelId(roster.channel),
        name=check_alias(name),
        alias=founder.alias,
        me=Slot(0),
        keys=keys,
        epochs=[first],
        policy=policy,
        charter=charter,
        disclosure=disclosure,
        roster=roster,
        expected=roster.hash,
        transcript=Transcript(first=1),
        prekey_since=hour,
    )
    state.knows(roster)
    return state, EpochClock(hour, value)
