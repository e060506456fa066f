"""The order of waiting jobs: their priority and turn, and the limits and priorities of organisations."""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('jobs', sa.Column('priority', sa.Integer(), nullable=False, server_default='0'))
    op.add_column('jobs', sa.Column('turn_at', sa.Float(precision=53), nullable=True))
    # What Prefect has been given already is in no line any more.
    op.execute(sa.text('UPDATE jobs SET turn_at = created_at WHERE flow_run_id IS NOT NULL'))
    op.create_index(
        op.f('ix_jobs_organization_id_pool_turn_at'), 'jobs', ['organization_id', 'pool', 'turn_at'], unique=False
    )
    op.add_column('organizations', sa.Column('concurrency_limit', sa.Integer(), nullable=True))
    op.add_column('organizations', sa.Column('priority', sa.Integer(), nullable=False, server_default='0'))
    op.add_column(
        'organizations', sa.Column('queues_are_current', sa.Boolean(), nullable=False, server_default=sa.true())
    )


def downgrade() -> None:
    op.drop_column('organizations', 'queues_are_current')
    op.drop_column('organizations', 'priority')
    op.drop_column('organizations', 'concurrency_limit')
    op.drop_index(op.f('ix_jobs_organization_id_pool_turn_at'), table_name='jobs')
    op.drop_column('jobs', 'turn_at')
    op.drop_column('jobs', 'priority')
