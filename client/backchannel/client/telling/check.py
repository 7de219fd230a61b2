"""What `status --check` finds, and the exit code that says so: the gravest of what there is.

Pure; asks the document of `status`, and what went wrong when relays were asked. Nothing found means
that all is as it should be.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from backchannel.client.aim import aimed
from backchannel.client.errors import ClientError
from backchannel.client.exits import Exit
from backchannel.client.telling import alive, chronicle, phrases

Document = dict[str, Any]
_GRAVEST: Final = (
    Exit.ALARM, Exit.GONE, Exit.KEY_CHANGED, Exit.OVERDUE, Exit.EXPIRED_UNREAD, Exit.UNSENT,
)  # fmt: skip
"""Before all else that keeps a relay from answering: what is known without it is not less true."""


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    exit: Exit
    channel: str
    text: str


def findings(status: Document, problem: ClientError | None = None) -> list[Finding]:
    """All of them, the gravest first. `problem`: why what is known may be of earlier."""
    several = len(status["channels"]) > 1
    found = [each for channel in status["channels"] for each in _of_channel(channel)]
    if several:
        found = [each._replace(text=aimed(each.text, each.channel)) for each in found]
    if status["queued"]:
        count = phrases.count(status["queued"], "message")
        found.append(Finding(Exit.UNSENT, "", f"No relay has {count} of yours yet."))
    if problem is not None and all(each.exit != problem.status for each in found):
        text = f"{problem.message} All else is as of before. Next: {problem.next_step}"
        found.append(Finding(problem.status, "", text))
    return sorted(found, key=_rank)


def _rank(each: Finding) -> int:
    return _GRAVEST.index(each.exit) if each.exit in _GRAVEST else len(_GRAVEST)


def _of_channel(each: Document) -> Iterator[Finding]:
    name = each["channel"]
    for alarm in each["alarms"]:
        if alarm["kind"] != "silent":  # that is told as long as it lasts, and no longer
            yield Finding(Exit.ALARM, name, chronicle.alarm(alarm))
    if each["ended"]:
        return
    if each["rivals"]:
        yield Finding(Exit.ALARM, name, "There are two lists of members.")
    gone = each["alive"]["lost"]
    if gone and gone["sure"]:
        yield Finding(Exit.GONE, name, f"You were away too long. Next: {gone['next']}")
    for party in each["alive"]["parties"]:
        if party["state"] == "silent":
            yield Finding(Exit.OVERDUE, name, alive.line(f"Party {party['party']}", party))
    yield from _of_hotline(each)
    if each["expired_unread"]:
        text, _ = phrases.not_shown("expired-unread", each["expired_unread"])
        yield Finding(Exit.EXPIRED_UNREAD, name, text)
    if each["expired_unsent"]:
        blocks = phrases.count(each["expired_unsent"], "block")
        yield Finding(Exit.UNSENT, name, f"{blocks} of yours expired before a relay had them.")


def _of_hotline(each: Document) -> Iterator[Finding]:
    """Somebody waits for an answer, or the line may be dead."""
    found = each.get("hotline") or {"wrong": []}
    for text in found["wrong"]:
        yield Finding(Exit.OVERDUE, each["channel"], text)


def verdict(found: list[Finding]) -> Exit:
    """The gravest."""
    return found[0].exit if found else Exit.DONE


def document(found: list[Finding]) -> Document:
    """For programs."""
    return {
        "exit": int(verdict(found)),
        "findings": [
            {"exit": int(each.exit), "channel": each.channel or None, "text": each.text}
            for each in found
        ],
    }


def line(each: Finding) -> str:
    """For people."""
    return f"{each.channel}: {each.text}" if each.channel else each.text
