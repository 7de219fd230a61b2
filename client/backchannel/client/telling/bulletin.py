"""What `status` says of one channel, line by line: what is wrong first, then what waits for the
reader, then the rest. Silent about what is as it should be.
"""

from collections.abc import Iterator
from typing import Any

from backchannel.client.aim import quoted
from backchannel.client.telling import alive, chronicle, overview, phrases
from backchannel.client.telling.phrases import count, listed

Document = dict[str, Any]
_DAY = 24
_OLD = 168 + 24  # hours: an epoch turns weekly, and a facilitator is not always there


def lines(each: Document) -> list[str]:
    """All of them."""
    if each["ended"]:
        return [phrases.over(each["ended"]), *_read(each)]
    stands = [*_lost(each), *_standing(each), *_wrong(each)]
    return [
        *stands,
        *_read(each),
        *_yours(each),
        *_relays(each),
        *_alive(each),
        *_members(each),
        *_facilitator(each),
    ]


def _lost(each: Document) -> Iterator[str]:
    lost = each["alive"]["lost"]
    if lost is None:
        return
    away = alive.span(lost["away_hours"]) if lost["away_hours"] else "longer"
    kept = phrases.lifetime(each["expires_hours"])
    yield f"You were away for {away}; what is said here is kept for {kept}."
    who = f"the facilitator ({listed(lost['ask'])})" if lost["ask"] else "another facilitator"
    if lost["sure"]:
        yield "There are new keys by now, and what would give them to this machine has expired."
        yield f"Ask {who} for a new invite. Next: {lost['next']}"
    else:
        yield f"If nobody is heard within a day, ask {who} for a new invite: {lost['next']}"


def _standing(each: Document) -> Iterator[str]:
    long = f" for {alive.span(each['standing_hours'])}" if each["standing_hours"] else ""
    if each["standing"] == "suspended":
        yield f"Suspended{long}: nobody speaks here until a facilitator resumes it."
    elif each["standing"] == "dormant":
        yield f"Dormant{long}: nothing is expected, and everybody may still speak."


def _alive(each: Document) -> Iterator[str]:
    about = each["alive"]
    if about["lost"] and about["lost"]["sure"]:
        return  # of course nobody is heard
    for party in about["parties"]:
        yield alive.line(f"Party {party['party']}", party)
    if about["read_hours_ago"] > max(about["pulse_hours"], _DAY):
        ago = alive.span(about["read_hours_ago"])
        yield f"That is as of {ago} ago: this machine has read nothing since."


def _wrong(each: Document) -> Iterator[str]:
    if each.get("hotline"):
        yield from each["hotline"]["said"]
    for alarm in each["alarms"]:
        yield f"ALARM: {chronicle.alarm(alarm)}"
    if each["rivals"]:
        yield "ALARM: There are two lists of members. Nothing is said until that is settled."
    for notice in each["notices"]:
        yield f"Note: {chronicle.notice(notice)}"
    if each["differs"]:
        yield f"Another record than yours: {listed(each['differs'])}. See: backchannel record"
    yield from _not_shown(each, "refused", "missed", "missing", "suspended")


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
        if proposal["closes"]:
            yield from _closing(proposal)
            continue
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


def _closing(proposal: Document) -> Iterator[str]:
    ends = phrases.date(proposal["ends"])
    if proposal["no"]:
        stops = f"{listed(proposal['no'])} objects" if len(proposal["no"]) == 1 else "some object"
        yield f"{proposal['by']} proposes to close this channel for good; {stops}, so it stays."
    else:
        yield f"{proposal['by']} proposes to close this channel for good, on {ends} at the latest."
    if proposal["for_me"]:
        yield "Yes: backchannel channel close. No: backchannel channel object"


def _candidate(candidate: Document, wanted: int) -> str:
    who = f"{candidate['alias']} ({candidate['party']}, {candidate['role']})"
    said = f"{who} is presented: {len(candidate['vouched'])} vouched, {wanted} must"
    objected = "; somebody objects" if candidate["objected"] else ""
    return f"{said}{objected}.{'' if candidate['mine'] else ' What do you say?'}"


def _relays(each: Document) -> Iterator[str]:
    """Nothing while all answer; one that does not is no trouble beside another."""
    known = each.get("relays", [])
    failing = [relay["url"] for relay in known if relay["failing_since"]]
    if failing and len(failing) == len(known):
        yield "No relay answers. What you say waits here; by hand: backchannel courier pack FILE"
    elif failing:
        yield f"No answer from {listed(failing)}. Others will do: backchannel relay list"


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
    yield from _along(each)
    if each["role"] == "facilitator":
        for gone in each["alive"]["behind"]:
            yield _behind(gone)


def _along(each: Document) -> list[str]:
    if each["newcomer"]:
        return overview.greeting(each["not_here"])
    names = listed(each["not_here"])
    return [f"Not along with the newest keys yet: {names}."] * bool(names)


def _behind(gone: Document) -> str:
    who, silent = gone["alias"], alive.span(gone["hours"])
    step = f"backchannel handover {quoted(who)} NEWNAME"
    return f"{who} has been silent for {silent} and cannot find the newest keys. Next: {step}"


def _facilitator(each: Document) -> Iterator[str]:
    if each["change_waits"]:
        yield "A change of yours has not come back from the relay yet."
    if each["epoch"]["vouchers_needed"]:
        relays = listed(each["epoch"]["vouchers_needed"])
        yield f"A new epoch is due, and there is no voucher left for {relays}."
    elif each.get("unpaid"):
        yield f"No voucher is left for {listed(each['unpaid'])}: nobody can be removed."
        yield "Ask its operator for some, then: backchannel channel vouchers FILE"
    if each["waiting"]:
        yield f"In the lobby: {listed(each['waiting'])}."
    if each["invited"]:
        yield f"{count(each['invited'], 'invite')} not answered yet."
