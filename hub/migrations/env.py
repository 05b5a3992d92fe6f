"""Alembic's entry: runs the versions on the connection that `hub.migrations` prepared."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import hub.tables  # noqa: F401  (fills SQLModel.metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite cannot change a column in place
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
