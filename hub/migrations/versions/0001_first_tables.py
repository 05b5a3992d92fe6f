"""Every table of the first hub, and the empty journal's head."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel import AutoString

from hub.tables import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _journal()
    _broker()
    _messages()
    _doors()
    _steps()
    _usagers()
    _documents()
    _work_list()


def downgrade() -> None:
    for table in ("work", "document", "usager", "step", "cursor", "seen", "message", "blob", "queue"):
        op.drop_table(table)
    op.drop_table("journal_head")
    op.drop_table("journal")


def _journal() -> None:
    op.create_table(
        "journal",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", AutoString(), nullable=False),
        sa.Column("author", AutoString(), nullable=False),
        sa.Column("action", AutoString(length=32), nullable=False),
        sa.Column("message", AutoString(length=32), nullable=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("previous", AutoString(length=64), nullable=False),
        sa.Column("hash", AutoString(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_journal_message", "journal", ["message"])

    op.create_table(
        "journal_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", AutoString(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    # Every append locks this row: it must be there before the first.
    head = sa.table("journal_head", sa.column("id"), sa.column("number"), sa.column("hash"))
    op.execute(head.insert().values(id=1, number=0, hash="0" * 64))


def _broker() -> None:
    op.create_table(
        "queue",
        sa.Column("id", AutoString(length=36), nullable=False),
        sa.Column("queue", AutoString(length=64), nullable=False),
        sa.Column("eta", sa.Float(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("owner", AutoString(length=64), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_queue_due", "queue", ["queue", "eta"])


def _messages() -> None:
    op.create_table(
        "blob",
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("key_id", AutoString(length=16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )

    op.create_table(
        "message",
        sa.Column("id", AutoString(length=32), nullable=False),
        sa.Column("state", AutoString(length=10), nullable=False),
        sa.Column("door", AutoString(length=10), nullable=False),
        sa.Column("mailbox", AutoString(length=64), nullable=True),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("peer", AutoString(), nullable=False),
        sa.Column("sender", AutoString(), nullable=True),
        sa.Column("recipients", AutoString(), nullable=False),
        sa.Column("message_id", AutoString(), nullable=True),
        sa.Column("fingerprint", AutoString(length=64), nullable=False),
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=True),
        sa.Column("uid", sa.BigInteger(), nullable=True),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("accepted_at", Instant(), nullable=False),
        sa.Column("set_out_at", Instant(), nullable=False),
        sa.Column("marked_at", Instant(), nullable=True),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("plan_first", sa.Integer(), nullable=False),
        sa.Column("lease_owner", AutoString(length=64), nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("last_error", AutoString(), nullable=False),
        sa.Column("kind", AutoString(length=64), nullable=True),
        sa.Column("message_class", AutoString(length=16), nullable=True),
        sa.Column("thought", sa.LargeBinary(), nullable=True),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["sha256"],
            ["blob.sha256"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("fingerprint", name="uq_message_fingerprint"),
        sa.UniqueConstraint("mailbox", "uidvalidity", "uid", name="uq_message_uid"),
    )
    op.create_index("ix_message_due", "message", ["state", "due_at"])
    op.create_index("ix_message_message_id", "message", ["message_id"])


def _doors() -> None:
    op.create_table(
        "seen",
        sa.Column("mailbox", AutoString(length=64), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("message", AutoString(length=32), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("marked_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message"],
            ["message.id"],
        ),
        sa.PrimaryKeyConstraint("mailbox", "uidvalidity", "uid"),
    )
    op.create_index("ix_seen_message", "seen", ["message"])
    op.create_index(
        "ix_seen_unmarked",
        "seen",
        ["mailbox", "uidvalidity"],
        sqlite_where=sa.text("marked_at IS NULL"),
        postgresql_where=sa.text("marked_at IS NULL"),
    )

    op.create_table(
        "cursor",
        sa.Column("mailbox", AutoString(length=64), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("last_uid", sa.BigInteger(), nullable=False),
        sa.Column("compared_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox"),
    )


def _steps() -> None:
    op.create_table(
        "step",
        sa.Column("message", AutoString(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("type", AutoString(length=16), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", AutoString(length=10), nullable=False),
        sa.Column("stage", AutoString(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("answer", AutoString(), nullable=False),
        sa.Column("outgoing_id", AutoString(), nullable=True),
        sa.Column("settled_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message"],
            ["message.id"],
        ),
        sa.PrimaryKeyConstraint("message", "number"),
    )


def _usagers() -> None:
    op.create_table(
        "usager",
        sa.Column("id", AutoString(length=32), nullable=False),
        sa.Column("record_number", AutoString(), nullable=True),
        sa.Column("ins", AutoString(length=15), nullable=True),
        sa.Column("ins_oid", AutoString(), nullable=True),
        sa.Column("ins_status", AutoString(), nullable=False),
        sa.Column("doubtful", sa.Boolean(), nullable=False),
        sa.Column("birth_name", AutoString(), nullable=True),
        sa.Column("first_given", AutoString(), nullable=True),
        sa.Column("given_names", AutoString(), nullable=True),
        sa.Column("used_name", AutoString(), nullable=True),
        sa.Column("used_given", AutoString(), nullable=True),
        sa.Column("birth_date", AutoString(), nullable=True),
        sa.Column("sex", AutoString(), nullable=True),
        sa.Column("birth_place", AutoString(), nullable=True),
        sa.Column("birth_name_key", AutoString(), nullable=True),
        sa.Column("used_name_key", AutoString(), nullable=True),
        sa.Column("facility", AutoString(), nullable=True),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("record_number"),
    )
    op.create_index("ix_usager_birth_date", "usager", ["birth_date"])
    op.create_index("ix_usager_birth_name_key", "usager", ["birth_name_key"])
    op.create_index("ix_usager_ins", "usager", ["ins"])
    op.create_index("ix_usager_used_name_key", "usager", ["used_name_key"])


def _documents() -> None:
    op.create_table(
        "document",
        sa.Column("id", AutoString(length=32), nullable=False),
        sa.Column("usager", AutoString(length=32), nullable=False),
        sa.Column("message", AutoString(length=32), nullable=False),
        sa.Column("unique_id", AutoString(), nullable=False),
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("set_id", AutoString(), nullable=True),
        sa.Column("version", AutoString(), nullable=True),
        sa.Column("supersedes", AutoString(length=32), nullable=True),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("kind", AutoString(length=64), nullable=True),
        sa.Column("type_code", AutoString(), nullable=True),
        sa.Column("type_system", AutoString(), nullable=True),
        sa.Column("title", sa.LargeBinary(), nullable=False),
        sa.Column("form", AutoString(length=8), nullable=False),
        sa.Column("media_type", AutoString(), nullable=False),
        sa.Column("confidentiality", AutoString(), nullable=False),
        sa.Column("created_at", AutoString(), nullable=True),
        sa.Column("act_at", AutoString(), nullable=True),
        sa.Column("author_organisation", AutoString(), nullable=True),
        sa.Column("author_ids", AutoString(), nullable=False),
        sa.Column("filed_at", Instant(), nullable=False),
        sa.Column("filed_by", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message"],
            ["message.id"],
        ),
        sa.ForeignKeyConstraint(
            ["sha256"],
            ["blob.sha256"],
        ),
        sa.ForeignKeyConstraint(
            ["supersedes"],
            ["document.id"],
        ),
        sa.ForeignKeyConstraint(
            ["usager"],
            ["usager.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("usager", "unique_id", "sha256", name="uq_document_once"),
    )
    op.create_index("ix_document_digest", "document", ["sha256"])
    op.create_index("ix_document_message", "document", ["message"])
    op.create_index("ix_document_set", "document", ["set_id"])
    op.create_index("ix_document_unique", "document", ["unique_id"])
    op.create_index("ix_document_usager", "document", ["usager"])


def _work_list() -> None:
    op.create_table(
        "work",
        sa.Column("id", AutoString(length=32), nullable=False),
        sa.Column("message", AutoString(length=32), nullable=False),
        sa.Column("about", AutoString(length=16), nullable=False),
        sa.Column("codes", AutoString(), nullable=False),
        sa.Column("reasons", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("closed_by", AutoString(), nullable=True),
        sa.Column("decision", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message"],
            ["message.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_work_message", "work", ["message"])
    op.create_index("ix_work_open", "work", ["closed_at"])
