"""Owns SPEC 16, as far as it can be computed: an author's heads, and which parents are missing.

A post is a dict of content_hash, author, parents, ages (lists) and version (of its roster). Posts
stand in the order in which they were accepted.
"""

from typing import Any

MOST_PARENTS = 4


def heads(posts: list[dict[str, Any]]) -> list[bytes]:
    """SPEC 16: the parents of a next post, rising: of each author the unnamed post that has waited
    longest, and of these the first four."""
    named = {parent for post in posts for parent in post["parents"]}
    longest: dict[int, bytes] = {}
    for post in posts:
        if post["content_hash"] not in named:
            longest.setdefault(post["author"], post["content_hash"])
    return sorted(list(longest.values())[:MOST_PARENTS])


def missing(posts: list[dict[str, Any]], first_version: int) -> list[bytes]:
    """SPEC 16: parents not known, but for those of rosters before the reader's first; rising."""
    known = {post["content_hash"] for post in posts}
    wanted = set()
    for post in posts:
        for parent, age in zip(post["parents"], post["ages"], strict=True):
            if parent not in known and post["version"] - age >= first_version:
                wanted.add(parent)
    return sorted(wanted)
