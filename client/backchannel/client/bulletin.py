"""What `status` says of one channel, line by line: what is wrong first, then what waits for the
reader, then the rest. Silent about what is as it should be.
"""

from collections.abc import Iterator
from typing import Any

from backchannel.client import chronicle, phrases
from backchannel.client.phrases import count, listed

Document = dict[str, Any]
_OLD = 168 + 24  # hours: an epoch turns weekly, and a facilitator is not always there


def lines(each: Document) -> list[str]:
    """All of them."""
    if each["ended"]:
        return [phrases.over(each["ended"]), *_read(each)]
    return [*_wrong(each), *_read(each), *_yours(each), *_members(each), *_facilitator(each)]


def _wrong(each: Document) -> Iterator[str]:
    for alarm in each["alarms"]:
        yield f"ALARM: {chronicle.alarm(alarm)}"
    if each["rivals"]:
        yield "ALARM: There are two lists of members. Nothing is said until that is settled."
    for notice in each["notices"]:
        yield f"Note: {chronicle.notice(notice)}"
    if each["differs"]:
        yield f"Another record than yours: {listed(each['differs'])}. See: backchannel record"
    yield from _not_shown(each, "refused", "missed", "missing")


def _not_shown(each: Document, *reasons: str) -> Iterator[str]:
    for found in each["not_shown"]:
        if found["reason"] in reasons:
            text, step = phrases.not_shown(found["reason"], found["count"])
            yield f"{text} Next: {step}"


def _read(each: Document) -> Iterator[str]:
    if each["unread"]:
        hours = phrases.hours_left(each["unread_hours_left"])
        yield f"{each['unread']} unread; the first to expire has {hours}."
    if each["unread_soon"]:
        yield phrases.soon(each["unread_soon"])
    yield from _not_shown(each, "expired-unread")
    if each["expired_unsent"]:
        yield f"{count(each['expired_unsent'], 'block')} of yours expired before a relay had them."


def _yours(each: Document) -> Iterator[str]:
    """What waits for the reader."""
    for proposal in each["proposals"]:
        kept = phrases.lifetime(proposal["policy"]["lifetime"])
        yes, all_ = len(proposal["yes"]), len(proposal["yes"]) + len(proposal["missing"])
        waits = "it waits for your yes" if proposal["for_me"] else f"{yes} of {all_} have agreed"
        yield f"{proposal['by']} proposes that content is kept for {kept}; {waits}."
    for candidate in each["candidates"]:
        yield _candidate(candidate, each["policy"]["vouches"])
    if each["asked_release"]:
        asked = count(each["asked_release"], "paraphrase")
        yield f"For your release: {asked} of your words. See: backchannel release"
    for draft in each["drafts"]:
        if draft["refused"]:
            yield f"An unattributed message was not sent: {draft['refused']}"
        else:
            yield f"An unattributed message goes by {phrases.clock_time(draft['until'])} UTC."


def _candidate(candidate: Document, wanted: int) -> str:
    who = f"{candidate['alias']} ({candidate['party']}, {candidate['role']})"
    said = f"{who} is presented: {len(candidate['vouched'])} vouched, {wanted} must"
    objected = "; somebody objects" if candidate["objected"] else ""
    return f"{said}{objected}.{'' if candidate['mine'] else ' What do you say?'}"


def _members(each: Document) -> Iterator[str]:
    if each["agreed_until"]:
        yield f"All have the same record up to {each['agreed_until']}."
    if each["unverified"]:
        yield f"Not verified: {listed(each['unverified'])}."
    if each["floor"]:
        yield f"{each['floor']} has the floor."
    if each["hands"]:
        yield f"For the floor ask: {listed(each['hands'])}."
    if each["leaving"]:
        yield f"Wants to go: {listed(each['leaving'])}."
    epoch = each["epoch"]
    if epoch["age_hours"] > _OLD:
        yield f"The keys are {phrases.lifetime(epoch['age_hours'])} old: a new epoch is overdue."
    if each["not_here"]:
        yield f"Not along with the newest keys yet: {listed(each['not_here'])}."


def _facilitator(each: Document) -> Iterator[str]:
    if each["change_waits"]:
        yield "A change of yours has not come back from the relay yet."
    if each["epoch"]["vouchers_needed"]:
        relays = listed(each["epoch"]["vouchers_needed"])
        yield f"A new epoch is due, and there is no voucher left for {relays}."
    if each["waiting"]:
        yield f"In the lobby: {listed(each['waiting'])}."
    if each["invited"]:
        yield f"{count(each['invited'], 'invite')} not answered yet."
