"""The record: SPEC.md section 16. A graph of content hashes: each post names its author's heads.

Owns what was accepted, what is named and missing, and the heads. Knows no keys and no text.
"""

from collections.abc import Iterable

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.sender_key import Parent
from backchannel.protocol.types import ContentHash, Hour, Slot

_MOST = 2**32 - 1
_OLDEST = 255


class Post(msgspec.Struct, frozen=True, array_like=True):
    """What the record keeps of one accepted core."""

    hour: Hour
    order: int
    version: int
    """Of the roster it was written under."""
    author: Slot
    parents: tuple[ContentHash, ...] = ()
    slots: bytes = b""
    """Start of the hash of its slots: whether a copy is whole."""
    aside: bool = False
    """An echo: who came lately cannot read one in an epoch that ends, so records differ by it."""


class Transcript(msgspec.Struct, array_like=True):
    """The record of one member. Only authenticated cores are added."""

    first: int
    """The roster version from which on this member belongs."""
    posts: dict[ContentHash, Post] = msgspec.field(default_factory=dict)
    heads: list[ContentHash] = msgspec.field(default_factory=list)
    missing: dict[ContentHash, Hour] = msgspec.field(default_factory=dict)
    """Named by an accepted post of that hour, and not here."""

    def __contains__(self, core: ContentHash) -> bool:
        return core in self.posts

    def add(self, core: ContentHash, post: Post, parents: tuple[Parent, ...]) -> list[ContentHash]:
        """Accept a core; returns the parents that are newly missing."""
        self.posts[core] = post
        named = {parent.hash for parent in parents}
        self.heads = [head for head in self.heads if head not in named]
        if self.missing.pop(core, None) is None:
            self.heads.append(core)
        lost = [
            parent.hash
            for parent in parents
            if parent.hash not in self.posts
            and parent.hash not in self.missing
            and post.version - parent.age >= self.first
        ]
        self.missing.update(dict.fromkeys(lost, post.hour))
        return lost

    def let_go(self, cores: Iterable[ContentHash]) -> None:
        """Name these no more: a drop that is sealed may not have taken them."""
        gone = set(cores)
        self.heads = [head for head in self.heads if head not in gone]

    def past(self, heads: Iterable[ContentHash]) -> set[ContentHash]:
        """What is known to be in the past of `heads`, heads included, here or not."""
        ahead, passed = list(heads), set[ContentHash]()
        while ahead:
            core = ahead.pop()
            if core not in passed:
                passed.add(core)
                ahead.extend(self.posts[core].parents if core in self.posts else ())
        return passed

    @property
    def next_order(self) -> int:
        """One more than the highest of the record; a liar's extreme goes with its post."""
        return min(1 + max((post.order for post in self.posts.values()), default=0), _MOST)

    def parents(self, version: int) -> tuple[Parent, ...]:
        """What a new post under roster `version` names: at most four heads, those that waited
        longest, one of each author, so that nobody crowds out the others.
        """
        firsts: dict[Slot, ContentHash] = {}
        for head in self.heads:
            firsts.setdefault(self.posts[head].author, head)
        chosen = list(firsts.values())[: limits.PARENTS]
        return tuple(Parent(head, self._age(head, version)) for head in chosen)

    def _age(self, head: ContentHash, version: int) -> int:
        """At least 0: an announcement is read before its roster is adopted."""
        return max(0, min(_OLDEST, version - self.posts[head].version))

    def forget(self, oldest: Hour) -> None:
        """Drop what is of hours before `oldest`."""
        self.posts = {core: post for core, post in self.posts.items() if post.hour >= oldest}
        self.heads = [head for head in self.heads if head in self.posts]
        self.missing = {core: hour for core, hour in self.missing.items() if hour >= oldest}
