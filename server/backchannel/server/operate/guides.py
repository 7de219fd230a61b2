"""What a person must do around the commands, step by step. `docs/operators.md` has the same words,
which a test holds.
"""

from typing import Final, NamedTuple


class Guide(NamedTuple):
    """A list to go through from top to bottom."""

    title: str
    steps: tuple[str, ...]


def _guide(title: str, text: str) -> Guide:
    """A step for each dash."""
    steps = text.strip().removeprefix("- ").split("\n        - ")
    return Guide(title, tuple(" ".join(step.split()) for step in steps))


GUIDES: Final = {
    "machine": _guide(
        "Move a relay to another machine",
        """
        - A day before: let the name's DNS record live for five minutes only.
        - New machine: install the same version (`backchannel-relay --version`).
        - Old machine: stop the relay, so that it does not come back (`systemctl disable
          --now backchannel-relay.socket backchannel-relay`). Clients keep what they have
          to say, and try again.
        - Copy the whole folder straight from machine to machine (`rsync -a DIR/
          NEW:DIR/`), over no stick and into no backup: it holds the keys that must die
          by the hour. An onion service's own folder goes with it.
        - New machine: `check`, `doctor`, `serve`, `test`. If it was off for more than a
          day, `serve --accept-clock` once the clock is right. Never start the old one
          again: two relays with one key divide every channel.
        - Point the name, the proxy or the onion service at the new machine, take the
          certificate along, and `doctor --url` from there.
        - Old machine: `decommission`. Only then do the keys stand in one place again.
        - Where the old machine is lost: `restore` a backup on the new one. No block
          comes back; clients ask each other for what is missing.
        """,
    ),
    "postgresql": _guide(
        "Move a relay from its own file into PostgreSQL",
        """
        - Make a role and an empty database that it owns; its password goes into
          ~/.pgpass, not into the URL.
        - Stop the relay, and make a `backup`.
        - `backchannel-relay move --to postgresql://ROLE@HOST/DATABASE --data DIR`:
          drops, vouchers and living blocks go over, the setting is written, the old
          file is overwritten. Whatever fails before, the relay is as it was.
        - `check`, `serve`, `test`. Clients see no difference.
        - Then set `workers`, and begin on more machines if one is not enough: each has
          the same relay.toml, relay.key, store.key, and shares expiry.keys by a file
          system with locks.
        """,
    ),
    "operator": _guide(
        "Somebody leaves who had access to the relay",
        """
        - Take their login away: the machine, its provider's console, DNS, certificates,
          the database.
        - Change what they know: passwords of the database, of backups, of the onion
          service.
        - Ask for backups that they hold, or have them erased. Whoever has relay.key or
          a backup can pass for this relay towards its clients: see who comes when, keep
          blocks back; not read them. If that is in doubt, go on with `guide key`.
        - `vouchers revoke --all`, and `vouchers mint` new ones for facilitators.
        - `doctor` and `test`; look through relay.toml for what you did not write.
        """,
    ),
    "key": _guide(
        "Replace the relay's key",
        """
        - Clients pin the key when they join, so it cannot be changed under them: they
          would refuse the relay. A new key is a new relay, which takes over by and by.
        - If somebody else may have the old key, tell facilitators at once, over another
          way.
        - `init` a second relay in a folder and under a name of its own, and `serve` it.
        - Give facilitators the new address and new vouchers; they bring their channels
          there: go on with `guide channels`.
        - Old relay: let it run until what is said there has ended, with vouchers enough
          for channels that have not moved: each removal from one, and each week of it,
          takes one.
        - Old relay: when `legal` shows no block any more, go on with `guide end`.
        """,
    ),
    "channels": _guide(
        "Bring channels to another relay, or another address",
        """
        - Each channel goes by itself: its facilitator's program takes it along, and
          nobody is invited again. You cannot do it for them: a relay knows no channel.
        - Another relay: give facilitators its address, and vouchers: for each channel
          one, and one more for each week. They type `backchannel relay move URL
          --vouchers FILE`, or `relay add` to stand on both, so that either may fail.
        - Another address of this relay: let the new name lead to it beside the old one,
          and tell facilitators. `backchannel relay move URL` costs no voucher then: it
          has the same key and the same drops.
        - Keep the old relay, or the old name, as long as what is said lives there (at
          most 90 days): who comes by late learns there where the channel is.
        - Where the old one is gone already, their program tells them what to do:
          `backchannel courier pack FILE`, once, for all members.
        """,
    ),
    "end": _guide(
        "End a relay for good",
        """
        - Tell facilitators the day, further off than the longest that a channel keeps
          things (at most 90 days), and where they may move: `guide channels`.
        - That day: `new_drops = false` in relay.toml, and reload it. Drops that there
          are work on; nobody can be removed from a channel any more, since that takes a
          new one.
        - `legal` says how many blocks are left and when the last of them ends. Wait for
          it if you can.
        - Stop the relay, then `decommission`: first the keys are overwritten, then all
          else. Empty its journal, too.
        - Erase every backup, wherever it is; in PostgreSQL also standbys, archives,
          dumps.
        - Stop proxy, onion service and certificates. Keep the name registered for a
          year: clients still knock, and whoever has the name sees from where.
        """,
    ),
    "second": _guide(
        "So that one person is not the only way in",
        """
        - A relay has no administrator and no password of its own: who is its user on
          the machine (or root) runs it, and nobody else. What can be lost is the login
          and relay.key.
        - Two people have a login of their own. Neither shares a password.
        - A `backup` every night, encrypted to both of them:
          `backchannel-relay backup - --data DIR | age -r FIRST -r SECOND >
          relay.backup.age`.
        - Where neither should do it alone, split the passphrase of that file, two of
          three (ssss-split -t 2 -n 3), and give each share to another person.
        - Once a year one of them restores it on a spare machine, `check`s it, does not
          serve it, and `decommission`s it: a way that was never gone is not there.
        - Whoever is forced to give all of this gives no content: the relay has no key
          that opens what people wrote, a backup holds no block, and nothing can be
          reset.
        """,
    ),
}
