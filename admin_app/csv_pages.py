"""Users, access keys and sessions as CSV, for spreadsheets: what the lists show under the same filters, all of it.

Written as it is read, some hundred rows a transaction, so that its size is nobody's memory. Invariants: no cell is a formula
(`exports`); of a key only its first characters; with the database away before the first row it is an error, not an empty file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

import falcon

from admin_app import claude_session_pages, key_pages, user_pages
from admin_app.access_key_operations import FindKeys
from admin_app.claude_session_operations import FindSessions, filter_of
from admin_app.fields import from_texts
from admin_app.front import Front, Texts, query_of
from admin_app.listings import Listing, of_access_keys, of_sessions, of_users
from admin_app.operation import BadFields, Shape, Work
from admin_app.user_operations import FindUsers
from core.key_list import KeyFilter, KeyLine, key_lines
from core.keyset import Page, Place
from core.session_list import SessionLine, sessions_in_order
from core.threads import paced
from core.user_list import UserFilter, UserLine, user_lines

T = TypeVar("T")

_A_BATCH = 250  # what is read at a time; a transaction each
_A_PIECE = 25
_TYPE = "text/csv; charset=utf-8"


def routes(front: Front) -> dict[str, Any]:
    """Path -> resource."""
    return {"/admin/users.csv": UsersFile(front), "/admin/keys.csv": KeysFile(front), "/admin/sessions.csv": SessionsFile(front)}


class UsersFile:
    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        asked = _asked(FindUsers, query_of(req, *user_pages.FILTERS))
        _send(resp, f"users-{work.now:%Y-%m-%d}.csv", _users(work, asked))


class KeysFile:
    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work = self._front.enter(req, resp)
        asked = _asked(FindKeys, query_of(req, *key_pages.FILTERS))
        _send(resp, f"access-keys-{work.now:%Y-%m-%d}.csv", _keys(work, asked))


class SessionsFile:
    def __init__(self, front: Front) -> None:
        self._front = front

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raises BadFields: a file of all sessions is not what was asked for."""
        work = self._front.enter(req, resp)
        query = query_of(req, *claude_session_pages.FILTERS)
        query.pop("cursor", None)
        asked = from_texts(FindSessions, claude_session_pages.fields_of(query))
        _send(resp, f"sessions-{work.now:%Y-%m-%d}.csv", _sessions(work, asked))


def _users(work: Work, asked: FindUsers) -> Iterator[Listing]:
    wanted, month = UserFilter(asked.search, asked.status, asked.strategy, asked.sort), work.tools.month(work.now)

    def page_after(place: Place | None) -> Page[UserLine]:
        return work.read(lambda doing: user_lines(doing.connection, wanted, work.now, month, _A_BATCH, place))

    for page in _pages(page_after):
        yield from (of_users([line.user for line in some]) for some in _pieces(page.lines))


def _keys(work: Work, asked: FindKeys) -> Iterator[Listing]:
    """The newest first, whatever the list is sorted by: the one order in which nothing moves while it is read."""
    wanted, month = KeyFilter(asked.search, asked.user_id, asked.status), work.tools.month(work.now)

    def page_after(place: Place | None) -> Page[KeyLine]:
        return work.read(lambda doing: key_lines(doing.connection, wanted, work.now, month, _A_BATCH, place))

    for page in _pages(page_after):
        yield from (of_access_keys([line.key for line in some], work.now) for some in _pieces(page.lines))


def _sessions(work: Work, asked: FindSessions) -> Iterator[Listing]:
    """In the order of keys and ids, in which nothing moves while it is read."""
    wanted = work.read(lambda doing: filter_of(doing, asked)[0])

    def page_after(place: Place | None) -> Page[SessionLine]:
        return work.read(lambda doing: sessions_in_order(doing.connection, wanted, _A_BATCH, place))

    for page in _pages(page_after):
        yield from (of_sessions(some) for some in _pieces(page.lines))


def _pages(page_after: Callable[[Place | None], Page[T]]) -> Iterator[Page[T]]:
    """All of them, from the first one on, each read when it is asked for."""
    page = page_after(None)
    yield page
    while page.last is not None:
        page = page_after(page.last)
        yield page


def _pieces(lines: Sequence[T]) -> Iterator[Sequence[T]]:
    """At least one, for the heading."""
    return (lines[begin : begin + _A_PIECE] for begin in range(0, max(1, len(lines)), _A_PIECE))


def _asked(takes: Any, query: Texts) -> Any:
    query.pop("cursor", None)
    try:
        asked: Shape = from_texts(takes, query)
    except BadFields:
        return takes()
    return asked


def _send(resp: falcon.Response, name: str, listings: Iterator[Listing]) -> None:
    first = next(listings)  # raises DatabaseAway while that can still be told
    resp.content_type = _TYPE
    resp.set_header("content-disposition", f'attachment; filename="{name}"')
    resp.stream = _lines(first, listings)


def _lines(first: Listing, following: Iterator[Listing]) -> Iterator[bytes]:
    yield f"{first.heading}\r\n".encode()
    for listing in paced(chain((first,), following)):
        if listing.rows:
            yield f"{listing.csv_rows}\r\n".encode()
