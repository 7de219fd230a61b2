"""Where things stand, and what to do next: from summaries alone, so that it costs little."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from backchannel.client.aim import aimed, quoted
from backchannel.client.telling import phrases, presence
from backchannel.client.telling.summary import Unread, unread
from backchannel.client.ui import iso
from backchannel.client.vault.channels import ChannelRow, JoinRow, Summary
from backchannel.client.vault.lost import LostRow
from backchannel.protocol.types import Hour

if TYPE_CHECKING:
    from backchannel.client.vault.health import Failing

Document = dict[str, Any]


def of_channel(row: ChannelRow, now: Hour) -> Document:
    """One channel."""
    about, news = row.summary, unread(row.summary, now)
    return {
        "channel": row.name,
        "alias": about["alias"],
        "role": about["role"],
        "members": about["members"],
        "newcomer": _newcomer(about),
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
                "suspended": about["hushed"],
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
        "standing": about["policy"]["standing"],
        "standing_since": phrases.stamp(about["standing_since"]),
        "standing_hours": max(0, now - about["standing_since"]),
        "alive": presence.document(about, now),
        "asked_release": sum(end > now for end in about["asked"].values()),
        **{key: about[key] for key in _AS_IT_IS},
    }


def _newcomer(about: Summary) -> bool:
    """Whether one came in this epoch, so that others have to greet one first."""
    return not about["founded"] and bool(about["since"] >= about["began"])


def arrived(row: ChannelRow, *, several: bool) -> list[str]:
    """What a newcomer is told who was just let in."""
    about, missing = row.summary, row.summary["not_here"]
    others = about["members"] - 1
    speaks = "" if about["role"] == "observer" else ", then: backchannel say TEXT"
    return [
        f"You are in {row.name}, as {about['alias']}: {phrases.count(about['members'], 'member')}.",
        f"Greeted by {others - len(missing)} of {others}.",
        *greeting(missing),
        aimed(f"next: backchannel read{speaks}", row.name if several else None),
    ]


def greeting(missing: list[str]) -> list[str]:
    """What it means that some have not greeted a newcomer yet; nothing where all have."""
    who = phrases.listed(missing)
    says, have = ("says", "program has") if len(missing) == 1 else ("say", "programs have")
    line = f"What {who} {says} opens here once their {have} greeted you."
    return [line] * bool(missing)


def relays(row: ChannelRow, failing: Mapping[str, "Failing"]) -> list[Document]:
    """The relays that a channel stands on, and since when each did not answer."""
    urls = [str(url) for url, _ in row.summary["relays"]]
    since = {url: iso(each.first) for url, each in failing.items()}
    return [{"url": url, "failing_since": since.get(url)} for url in urls]


def unpaid(row: ChannelRow, left: Callable[[str], int]) -> list[str]:
    """Of who facilitates: relays for which no voucher is `left`, so that nobody can be removed."""
    about = row.summary
    if about["ended"] or about["role"] != "facilitator":
        return []
    return [url for url, _ in about["relays"] if not left(url)]


def unanswered(
    rows: Iterable[ChannelRow],
    owed: Callable[[bytes], Mapping[str, int]],
    failing: Mapping[str, "Failing"],
) -> int:
    """How many requests wait for a relay that does not answer, beside one of the same channel that
    does: nobody need do anything. `owed`: how many an owner owes to each relay.
    """
    open_ = (row for row in rows if not _covered(row))
    fine = (row for row in open_ if any(url not in failing for url, _ in row.summary["relays"]))
    each = (count for row in fine for url, count in owed(row.id).items() if url in failing)
    return sum(each)


def covered(rows: Iterable[ChannelRow], owed: Callable[[bytes], Mapping[str, int]]) -> int:
    """How many requests are of channels with cover, where a sync does not send them."""
    return sum(sum(owed(row.id).values()) for row in rows if _covered(row))


def _covered(row: ChannelRow) -> bool:
    return bool(row.summary["policy"].get("cover", 0))


def outbox_lines(owed: int, unanswered: int, covered: int = 0) -> list[str]:
    """What is owed to relays, as far as there is any; apart, what no sync is needed for."""
    count, asks = phrases.count, owed - unanswered - covered
    lines = [f"{count(asks, 'request')} to a relay still to be sent."]
    turns = "to a relay for turns of cover: sent while this runs: backchannel watch"
    late = f"{count(unanswered, 'request')} to a relay that does not answer"
    last = [f"{late}: sent later, by itself. See: backchannel relay list"]
    waits = [f"{count(covered, 'request')} {turns}"]
    return lines * (asks > 0) + last * (unanswered > 0) + waits * (covered > 0)


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


def join_line(each: Document) -> str:
    """A join that was not let in yet, or never will be."""
    return f"{each['channel']}: {phrases.ended(each['ended']) or 'you wait to be admitted.'}"


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
    channels: list[Document],
    joins: list[Document],
    owed: int,
    lost: list[Document] | None = None,
    *,
    turns: bool = False,
) -> str:
    """The next useful command. `turns`: something waits for turns of cover, which nobody takes."""
    if owed:
        return "backchannel sync"
    several = len(channels) > 1
    steps = [_whole_step(each, several=several) for each in channels]
    step = min((each for each in steps if each.step), key=lambda each: each.rank, default=None)
    if step:
        return step.step
    if any(not each["ended"] for each in joins):
        return "backchannel sync"
    if lost:
        return str(lost[0]["next"])
    if not channels:
        return "backchannel join URL"
    live = [each["channel"] for each in channels if _speaks(each)]
    verb, name = ("say TEXT", live[0]) if live else ("read", channels[0]["channel"])
    return "backchannel watch" if turns else aimed(f"backchannel {verb}", name if several else None)


def _speaks(each: Document) -> bool:
    quiet = each["ended"] or each["standing"] == "suspended"
    return not quiet and each["role"] != "observer"


class _Step(NamedTuple):
    """What one channel asks for first, if anything."""

    rank: int
    """The lower goes before what other channels ask for."""
    step: str


def _whole_step(each: Document, *, several: bool) -> _Step:
    gone = each["alive"]["lost"]
    if gone and gone["sure"]:
        return _Step(1, str(gone["next"]))
    rank, step = _step(each)
    named = aimed(f"backchannel {step}", each["channel"] if several else None)
    return _Step(rank, named if step else "")


def _step(each: Document) -> _Step:
    return next(_Step(rank, step) for rank, (fits, step) in enumerate(_steps(each)) if fits)


def _steps(each: Document) -> list[tuple[Any, str]]:
    """What a channel may ask for, the most urgent first: whether it does, and how."""
    facilitates, live = each["role"] == "facilitator", not each["ended"]
    asked = [quoted(who["alias"]) for who in each["candidates"] if not who["mine"]][:1]
    alone = live and each["members"] == 1
    return [
        (live and _called(each), _called(each)),
        (live and each["alarms"], "alarms"),
        (live and each["rivals"] and facilitates, "epoch turn"),
        (live and each["waiting"], "lobby"),
        (live and any(proposal["for_me"] for proposal in each["proposals"]), "policy"),
        (
            live and asked and each["role"] == "participant",
            f"vouch {''.join(asked)}",
        ),
        (each["unread"] or each["expired_unread"], "read"),
        (live and each["asked_release"], "release"),
        (live and each["notices"], "alarms --seen"),
        (alone and not each["invited"], "invite ALIAS"),
        (alone and each["invited"], "lobby"),
        (True, ""),
    ]


def _called(each: Document) -> str:
    """What a hotline asks of its reader, or nothing."""
    found = each.get("hotline") or {"incidents": [], "calls": []}
    for ticket in found["incidents"]:
        if ticket["you_are_called"]:
            step = "ack" if ticket["state"] == "open" else "update"
            return f"incident {step} {ticket['id']}" + (" TEXT" if step == "update" else "")
    return "convene yes" if any(call["your_answer"] is None for call in found["calls"]) else ""
