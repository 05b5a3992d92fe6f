"""The address book of the site, who holds which role for whom, and the territory of an usager."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlmodel import AutoString

from hub.tables import Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contact",
        sa.Column("id", AutoString(length=32), nullable=False),
        sa.Column("address", AutoString(length=320), nullable=False),
        sa.Column("type", AutoString(length=3), nullable=False),
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("organisation", AutoString(), nullable=False),
        sa.Column("service", AutoString(), nullable=False),
        sa.Column("departement", AutoString(length=3), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("since", AutoString(length=10), nullable=True),
        sa.Column("until", AutoString(length=10), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("changed_by", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("address"),
    )
    op.create_table(
        "held_role",
        sa.Column("id", AutoString(length=32), nullable=False),
        sa.Column("role", AutoString(length=40), nullable=False),
        sa.Column("contact", AutoString(length=32), nullable=False),
        sa.Column("usager", AutoString(length=32), nullable=True),
        sa.Column("territory", AutoString(), nullable=True),
        sa.Column("territory_key", AutoString(), nullable=True),
        sa.Column("since", AutoString(length=10), nullable=False),
        sa.Column("until", AutoString(length=10), nullable=True),
        sa.Column("said_at", Instant(), nullable=False),
        sa.Column("said_by", AutoString(), nullable=False),
        sa.Column("withdrawn_at", Instant(), nullable=True),
        sa.Column("withdrawn_by", AutoString(), nullable=True),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"]),
        sa.ForeignKeyConstraint(["usager"], ["usager.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("contact", "usager", "territory_key"):
        op.create_index(f"ix_held_role_{column}", "held_role", [column])
    op.add_column("usager", sa.Column("territory", AutoString(), nullable=True))


def downgrade() -> None:
    op.drop_column("usager", "territory")
    op.drop_table("held_role")
    op.drop_table("contact")
