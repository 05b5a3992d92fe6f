"""Who may log in, from which mailboxes each may send; and who submitted a message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel import AutoString

from hub.tables import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hub_user",
        sa.Column("id", AutoString(length=32), nullable=False),
        sa.Column("login", AutoString(length=64), nullable=False),
        sa.Column("role", AutoString(length=16), nullable=False),
        sa.Column("password", AutoString(), nullable=True),
        sa.Column("password_at", Instant(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", Instant(), nullable=True),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("login"),
    )
    op.create_table(
        "user_right",
        sa.Column("user", AutoString(length=32), nullable=False),
        sa.Column("mailbox", AutoString(length=64), nullable=False),
        sa.Column("granted_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["hub_user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user", "mailbox"),
    )
    op.add_column("message", sa.Column("submitted_by", AutoString(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("message", "submitted_by")
    op.drop_table("user_right")
    op.drop_table("hub_user")
