"""Who is there, as a summary keeps it: when this machine last read all that a relay had, who has
fallen silent since, and whether one was away oneself for longer than keys wait.

`noted` at the end of a round; the rest is asked of a summary alone.
"""

from typing import Any

from backchannel.client.telling import alive
from backchannel.client.telling import summary as summaries
from backchannel.client.telling.alive import Heard, Pulse
from backchannel.client.vault.channels import Summary
from backchannel.protocol.types import Hour

Document = dict[str, Any]


def heard(about: Summary) -> list[Heard]:
    """The others, as this machine heard them last."""
    return [Heard(alias, party, Hour(hour), ever) for alias, party, hour, ever in about["heard"]]


def read_at(about: Summary) -> Hour:
    """The hour up to which this machine knows what was said."""
    return Hour(about["read_at"])


def parties(about: Summary) -> list[Pulse]:
    """How alive each is, up to when this machine read."""
    return alive.parties(heard(about), about["pulse"], read_at(about))


def members(about: Summary) -> list[Pulse]:
    """The same for each of the others."""
    return alive.members(heard(about), about["pulse"], read_at(about))


def noted(about: Summary, now: Hour, *, sealed: bool) -> None:
    """A relay was read to its end, in this hour; `sealed`: it takes nothing more where one's own
    keys lead, and tells of no others.
    """
    before = read_at(about)
    if now - before > about["lifetime"]:
        about["away"] = [before, now]
        summaries.notice(about, "away", now, detail=alive.span(now - before))
    if about["away"] and _heard_since(about, about["away"][0]):
        about["away"] = None  # what was said meanwhile opened: the keys still lead there
    about["read_at"] = now
    about["sealed"] = about["epoch"] if sealed else None
    fallen, about["silent"] = alive.crossed(about["silent"], parties(about))
    for party in fallen:
        summaries.alarm(about, "silent", party, b"", now)


def _heard_since(about: Summary, hour: int) -> bool:
    return any(each.ever and each.hour > hour for each in heard(about))


def lost(about: Summary) -> Document | None:
    """Whether one's own keys lead nowhere any more, and whom to ask; `sure` where the relay said
    so, else nobody was heard since one came back.
    """
    sealed, away = about["sealed"] == about["epoch"], about["away"]
    if about["ended"] or not (sealed or (away and about["members"] > 1)):
        return None
    hours = away[1] - away[0] if away else 0
    relays = about["relays"]
    return {
        "sure": sealed,
        "away_hours": hours,
        "ask": about["facilitators"],
        "next": f"backchannel join {relays[0][0] if relays else 'URL'}",
    }


def behind(about: Summary, now: Hour) -> list[Document]:
    """Members who cannot find the newest keys any more: what told of them has expired."""
    late = {each.name: each.hours for each in members(about)}
    if now - about["began"] <= about["lifetime"]:
        return []
    return [{"alias": name, "hours": late.get(name, 0)} for name in about["not_here"]]


def document(about: Summary, now: Hour) -> Document:
    """For `status`."""
    each = {
        "parties": [{"party": p.name, **alive.document(p)} for p in parties(about)],
        "others": [{"alias": m.name, **alive.document(m)} for m in members(about)],
    }
    return {
        **each,
        "pulse_hours": about["pulse"],
        "read_hours_ago": max(0, now - read_at(about)),
        "lost": lost(about),
        "behind": behind(about, now),
    }
