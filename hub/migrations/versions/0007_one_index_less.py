"""The record of an usager is read by the unique key of `document`, which begins with the usager: no second index."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_document_usager", "document")


def downgrade() -> None:
    op.create_index("ix_document_usager", "document", ["usager"])
