"""The names that go with rows of a user and an access key: people do not read ids. Builds queries, reads nothing."""

from __future__ import annotations

from sqlalchemy import FromClause, Select, func, select

from core.models import access_keys, users


def with_owner_names(found: FromClause) -> Select[tuple[object, ...]]:
    """All columns of `found`, and for its `user_id` and `access_key_id`: `user_name`, `prefix`, `key_name`; empty where gone."""
    source = found.outerjoin(users, users.c.id == found.c.user_id)
    source = source.outerjoin(access_keys, access_keys.c.id == found.c.access_key_id)
    names = (
        func.coalesce(users.c.name, "").label("user_name"),
        func.coalesce(access_keys.c.prefix, "").label("prefix"),
        func.coalesce(access_keys.c.name, "").label("key_name"),
    )
    return select(found, *names).select_from(source)
