"""The hub knows from which checkpoint or adapter a version was tuned on."""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('hub_versions', sa.Column('started_from', sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column('hub_versions', 'started_from')
