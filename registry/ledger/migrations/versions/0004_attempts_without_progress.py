"""How far a job was ever trained, and how many attempts in a row have added nothing to that."""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('jobs', sa.Column('reached_step', sa.Integer(), nullable=False, server_default='0'))
    op.add_column('jobs', sa.Column('fruitless_attempts', sa.Integer(), nullable=False, server_default='0'))


def downgrade() -> None:
    op.drop_column('jobs', 'fruitless_attempts')
    op.drop_column('jobs', 'reached_step')
