"""Letters are found by the Message-ID that a reply names."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_step_outgoing", "step", ["outgoing_id"])


def downgrade() -> None:
    op.drop_index("ix_step_outgoing", "step")
