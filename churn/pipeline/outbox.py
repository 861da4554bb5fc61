"""Store notifications in CHURN_HOME and send each of them once.

`$CHURN_HOME/notifications/<key>.json` is a message, with its state for each target. The key names
the event, so that repeated work records it only once. A message is recorded before it is sent, and
its state is written before and after each target is called: waiting, sending, sent. A process that
dies before it calls the target leaves the message waiting, and the next command sends it. One that
dies while the target is called leaves `sending`: whether the message arrived can't be known, and it
is not sent again (docs/decisions/0050-notifications.md).
"""

import hashlib
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lakehouse.atomic_write import write_secret
from lakehouse.file_locks import lock_within
from lakehouse.process import Log
from lakehouse.settings import Settings

WAITING, SENDING, SENT, FAILED, UNKNOWN = "waiting", "sending", "sent", "failed", "unknown"
# A target that refused a message this often is not called again.
MOST_TRIES = 5
# Another process that sends at the moment sends the waiting messages too.
LOCK_SECONDS = 20
NO_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Message:
    """A notification.

    Attributes:
        key: Identifies the event; a second message with the same key is not recorded.
        kind: Apprise's type: info, success, warning or failure.
        title: What happened, in one line.
        body: The explanation, and a link.
    """

    key: str
    kind: str
    title: str
    body: str


@dataclass
class Entry:
    """A recorded message, with its time and the state for each target."""

    message: Message
    recorded: str
    states: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)


def folder(settings: Settings) -> Path:
    """Return the folder of the recorded messages."""
    return settings.home / "notifications"


def open_outbox(settings: Settings) -> datetime:
    """Return the time since when events are notified: that of the first call with CHURN_NOTIFY."""
    path = folder(settings) / "since"
    if not path.exists():
        _create(path, datetime.now(UTC).isoformat())
    return datetime.fromisoformat(path.read_text().strip())


def record(settings: Settings, message: Message) -> bool:
    """Record a message to be sent; return False if it was recorded before, or none are sent."""
    if not settings.notify:
        return False
    entry = Entry(message, datetime.now(UTC).isoformat())
    name = NO_FILE_NAME.sub("_", message.key)[:200]
    return _create(folder(settings) / f"{name}.json", json.dumps(asdict(entry), indent=1))


def deliver(settings: Settings, log: Log) -> None:
    """Send the messages that wait; report a problem through `log`, and never raise one."""
    if not settings.notify or not folder(settings).is_dir():
        return
    try:
        with _lock_outbox(settings) as is_locked:
            if is_locked:
                _deliver_all(settings, log)
    # By intention all: what is notified of must not depend on the notification.
    except Exception as error:
        log(f"warning: notifications wait, the next command sends them: {type(error).__name__}")


def read_entries(settings: Settings) -> dict[Path, Entry]:
    """Return the recorded messages by file, oldest first; damaged files are left out."""
    entries = {}
    for path in folder(settings).glob("[!.]*.json"):
        try:
            stored = json.loads(path.read_text())
            entries[path] = Entry(**{**stored, "message": Message(**stored["message"])})
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return dict(sorted(entries.items(), key=lambda pair: pair[1].recorded))


def _deliver_all(settings: Settings, log: Log) -> None:
    targets = _list_targets(settings)
    for path, entry in read_entries(settings).items():
        # Targets that are configured later do not get the messages of before.
        entry.states = entry.states or dict.fromkeys(targets, WAITING)
        for target in filter(targets.get, entry.states):
            _deliver_one(path, entry, target, targets[target], log)


def _deliver_one(path: Path, entry: Entry, target: str, url: str, log: Log) -> None:
    state, title = entry.states[target], entry.message.title
    if state == SENDING:
        _write_state(path, entry, target, UNKNOWN)
        log(f"warning: it is unknown whether a notification was delivered: {title}")
    if state not in (WAITING, FAILED) or entry.tries.get(target, 0) >= MOST_TRIES:
        return
    entry.tries[target] = entry.tries.get(target, 0) + 1
    _write_state(path, entry, target, SENDING)
    is_sent = _send(url, entry.message)
    _write_state(path, entry, target, SENT if is_sent else FAILED)
    if not is_sent:
        # Without the URL, which is a secret.
        log(f"warning: a target of CHURN_NOTIFY did not accept a notification: {title}")


def _send(url: str, message: Message) -> bool:
    # Takes a fifth of a second: imported only if there is something to send.
    import apprise

    # Its messages may name parts of the URL.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    sender = apprise.Apprise(
        asset=apprise.AppriseAsset(app_id="churn", app_url="", async_mode=False)
    )
    return bool(
        sender.add(url)
        and sender.notify(
            body=message.body,
            title=message.title,
            notify_type=message.kind,
            body_format=apprise.NotifyFormat.TEXT,
        )
    )


def _list_targets(settings: Settings) -> Mapping[str, str]:
    """Return the configured URLs by a name that does not reveal them."""
    urls = (settings.notify or "").split()
    return {hashlib.sha256(url.encode()).hexdigest()[:12]: url for url in urls}


def _write_state(path: Path, entry: Entry, target: str, state: str) -> None:
    entry.states[target] = state
    write_secret(path, json.dumps(asdict(entry), indent=1))


def _create(path: Path, text: str) -> bool:
    """Create a private file with its content, in one step; return False if it exists."""
    draft = path.with_name(f".{secrets.token_hex(8)}")
    write_secret(draft, text)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


@contextmanager
def _lock_outbox(settings: Settings) -> Iterator[bool]:
    path = folder(settings) / ".lock"
    path.touch(mode=0o600)
    with path.open() as lock:
        yield lock_within(lock, path, LOCK_SECONDS)
