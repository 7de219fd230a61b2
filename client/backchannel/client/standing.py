"""Where things stand, and what to do next: from summaries alone, so that it costs little."""

from typing import Any

from backchannel.client import phrases
from backchannel.client.summary import Unread, unread
from backchannel.client.vault.channels import ChannelRow, JoinRow
from backchannel.client.vault.lost import LostRow
from backchannel.protocol.types import Hour

Document = dict[str, Any]


def of_channel(row: ChannelRow, now: Hour) -> Document:
    """One channel."""
    about, news = row.summary, unread(row.summary, now)
    return {
        "channel": row.name,
        "alias": about["alias"],
        "role": about["role"],
        "members": about["members"],
        "unread": news.waiting,
        "unread_hours_left": _hours_left(news, now),
        "unread_soon": news.soon,
        "expired_unread": news.expired,
        "waiting": about["waiting"],
        "invited": about["invites"],
        "refused_blocks": about["refused"],
        "missed_blocks": about["missed"],
        "expired_unsent": about["unsent"],
        "not_shown": _not_shown(
            {
                "refused": about["refused"],
                "missed": about["missed"],
                "missing": about["missing"],
                "expired-unread": news.expired,
            }
        ),
        "expires_hours": about["lifetime"],
        "epoch": {
            "number": about["epoch"],
            "age_hours": max(0, now - about["began"]),
            "due": about.get("due", ""),
            "vouchers_needed": about.get("vouchers_needed", []),
        },
        "agreed_until": None if about["agreed"] is None else phrases.stamp(about["agreed"]),
        "asked_release": sum(end > now for end in about["asked"].values()),
        **{key: about[key] for key in _AS_IT_IS},
    }


def _not_shown(counts: dict[str, int]) -> list[Document]:
    """What cannot be opened: how much, why, and what to do."""
    return [
        {"reason": reason, "count": count, "next": phrases.not_shown(reason, count)[1]}
        for reason, count in counts.items()
        if count
    ]


_AS_IT_IS = (
    "ended",
    "policy",
    "rivals",
    "change_waits",
    "not_here",
    "unverified",
    "differs",
    "missing",
    "leaving",
    "candidates",
    "proposals",
    "floor",
    "hands",
    "alarms",
    "notices",
    "drafts",
)


def _hours_left(news: Unread, now: Hour) -> int | None:
    return None if news.next_to_expire is None else news.next_to_expire - now


def of_join(row: JoinRow) -> Document:
    """A join that was not let in yet, or never will be."""
    about = row.summary
    return {
        "channel": about["channel"],
        "alias": row.alias,
        "ended": about["over"],
        "check_words": about.get("check_words", ""),
    }


def of_lost(row: LostRow) -> Document:
    """A channel that a backup named, and that one is not in."""
    others, relays = row.about["facilitators"], row.about["relays"]
    url = relays[0][0] if relays else "URL"
    return {
        "channel": row.about["name"],
        "alias": row.about["alias"],
        "facilitators": others,
        "relay": url,
        "next": f"backchannel join {url}" if others else "backchannel channel new NAME",
    }


def lost_line(each: Document) -> str:
    """How it is told."""
    if not each["facilitators"]:
        return f"{each['channel']}: nobody but you could let you in again. Open another channel."
    asked = phrases.listed(each["facilitators"])
    return f"{each['channel']}: ask the facilitator ({asked}) for a new invite."


def next_step(
    channels: list[Document], joins: list[Document], owed: int, lost: list[Document] | None = None
) -> str:
    """The next useful command."""
    if owed:
        return "backchannel sync"
    several = len(channels) > 1
    for each in channels:
        step = _step(each)
        if step:
            return f"backchannel {step}" + _chosen(each["channel"], several=several)
    if any(not each["ended"] for each in joins):
        return "backchannel sync"
    if lost:
        return str(lost[0]["next"])
    if not channels:
        return "backchannel join URL"
    live = [each["channel"] for each in channels if _speaks(each)]
    verb, name = ("say TEXT", live[0]) if live else ("read", channels[0]["channel"])
    return f"backchannel {verb}" + _chosen(name, several=several)


def _speaks(each: Document) -> bool:
    return not each["ended"] and each["role"] != "observer"


def _step(each: Document) -> str:
    """What one channel asks for first, or nothing."""
    facilitates, reads = each["role"] == "facilitator", each["unread"] or each["expired_unread"]
    if each["ended"]:
        return "read" if reads else ""
    asked = [who["alias"] for who in each["candidates"] if not who["mine"]]
    return next(
        step
        for fits, step in (
            (each["alarms"], "alarms"),
            (each["rivals"] and facilitates, "epoch turn"),
            (each["waiting"], "lobby"),
            (any(proposal["for_me"] for proposal in each["proposals"]), "policy"),
            (asked and each["role"] == "participant", f"vouch {_quoted(asked)}"),
            (reads, "read"),
            (each["asked_release"], "release"),
            (each["notices"], "alarms"),
            (each["members"] == 1 and not each["invited"], "invite ALIAS"),
            (True, ""),
        )
        if fits
    )


def _quoted(names: list[str]) -> str:
    import shlex

    return shlex.quote(names[0]) if names else ""


def _chosen(name: str, *, several: bool) -> str:
    import shlex

    return f" --channel {shlex.quote(name)}" if several else ""
