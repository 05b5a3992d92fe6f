"""What several hosts share: whose database this is, who lives, who does what. (And the hourly ledger's marks.)"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel import AutoString

from hub.tables import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _site()
    _hosts()
    _marks()
    op.create_index("ix_message_accepted", "message", ["accepted_at"])
    op.create_index("ix_work_opened", "work", ["opened_at"])


def downgrade() -> None:
    op.drop_index("ix_work_opened", "work")
    op.drop_index("ix_message_accepted", "message")
    for table in ("reckoning", "progress", "duty", "host", "site"):
        op.drop_table(table)


def _site() -> None:
    op.create_table(
        "site",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("marker", AutoString(length=32), nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _hosts() -> None:
    op.create_table(
        "host",
        sa.Column("id", AutoString(length=64), nullable=False),
        sa.Column("name", AutoString(length=64), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "duty",
        sa.Column("name", AutoString(length=80), nullable=False),
        sa.Column("host", AutoString(length=64), nullable=False),
        sa.Column("taken_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["host.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("ix_duty_host", "duty", ["host"])


def _marks() -> None:
    op.create_table(
        "progress",
        sa.Column("mailbox", AutoString(length=64), nullable=False),
        sa.Column("began_at", Instant(), nullable=False),
        sa.Column("told_at", Instant(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", AutoString(), nullable=False),
        sa.Column("failing_since", Instant(), nullable=True),
        sa.Column("skipped", sa.Text(), nullable=False),
        sa.Column("mark_error", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox"),
    )
    numbers = (
        "announced",
        "filed",
        "delivered",
        "refused",
        "noted",
        "waiting",
        "held",
        "in_error",
        "fresh",
        "skipped",
        "gone",
        "differences",
    )
    op.create_table(
        "reckoning",
        sa.Column("mailbox", AutoString(length=64), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uidnext", sa.BigInteger(), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in numbers),
        sa.Column("unknown", sa.Text(), nullable=False),
        sa.Column("differs_since", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("mailbox"),
    )
