"""What was sent, to whom, and what became of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel import AutoString

from hub.tables import Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sending",
        sa.Column("id", AutoString(length=32), nullable=False),
        sa.Column("message", AutoString(length=32), nullable=False),
        sa.Column("mailbox", AutoString(length=64), nullable=False),
        sa.Column("message_id", AutoString(), nullable=False),
        sa.Column("usager", AutoString(length=32), nullable=True),
        sa.Column("kind", AutoString(length=64), nullable=True),
        sa.Column("urgency", AutoString(length=2), nullable=False),
        sa.Column("by", AutoString(), nullable=False),
        sa.Column("wants_receipt", sa.Boolean(), nullable=False),
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("composed_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["message"], ["message.id"]),
        sa.ForeignKeyConstraint(["usager"], ["usager.id"]),
        sa.ForeignKeyConstraint(["sha256"], ["blob.sha256"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id"),
    )
    op.create_index("ix_sending_composed", "sending", ["composed_at"])
    op.create_index("ix_sending_message", "sending", ["message"])
    op.create_index("ix_sending_usager", "sending", ["usager"])
    op.create_table(
        "sent_to",
        sa.Column("sending", AutoString(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("recipient", AutoString(), nullable=False),
        sa.Column("compared", AutoString(length=320), nullable=False),
        sa.Column("rung", AutoString(length=12), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("status", AutoString(), nullable=False),
        sa.Column("report", AutoString(length=32), nullable=False),
        sa.Column("answered_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["sending"], ["sending.id"]),
        sa.PrimaryKeyConstraint("sending", "number"),
    )
    op.create_index("ix_sent_to_rung", "sent_to", ["rung", "at"])
    op.create_table(
        "news",
        sa.Column("id", AutoString(length=32), nullable=False),
        sa.Column("sending", AutoString(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rung", AutoString(length=12), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("source", AutoString(length=8), nullable=False),
        sa.Column("message", AutoString(length=32), nullable=False),
        sa.Column("status", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["sending"], ["sending.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    is_report = sa.text("message <> ''")
    op.create_index(
        "uq_news_once",
        "news",
        ["message", "sending", "number", "rung", "status"],
        unique=True,
        sqlite_where=is_report,
        postgresql_where=is_report,
    )
    op.create_index("ix_news_sending", "news", ["sending", "number"])
    classes = sa.text("message_class IN ('dsn', 'mdn', 'auto_reply')")
    op.create_index("ix_message_reports", "message", ["accepted_at"], sqlite_where=classes, postgresql_where=classes)


def downgrade() -> None:
    op.drop_index("ix_message_reports", "message")
    for table in ("news", "sent_to", "sending"):
        op.drop_table(table)
