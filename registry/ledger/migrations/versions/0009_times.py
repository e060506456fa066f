"""How long a job has waited, stood paused, and spent in each phase."""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None

_SECONDS = sa.Float(precision=53)
_FIRST_START = '(SELECT MIN(started_at) FROM attempts WHERE attempts.job_id = jobs.id)'


def upgrade() -> None:
    for name in ('status_at', 'waited_seconds', 'paused_seconds'):
        op.add_column('jobs', sa.Column(name, _SECONDS, nullable=False, server_default='0'))
    op.add_column('jobs', sa.Column('phase_seconds', sa.JSON(none_as_null=True), nullable=False, server_default='{}'))
    op.add_column(
        'jobs', sa.Column('seconds_per_epoch', sa.JSON(none_as_null=True), nullable=False, server_default='[]')
    )
    # Of jobs that are there already only the first wait is known.
    op.execute(sa.text(f'UPDATE jobs SET waited_seconds = {_FIRST_START} - created_at WHERE {_FIRST_START} IS NOT NULL'))
    op.execute(
        sa.text(
            'UPDATE jobs SET status_at = CASE WHEN attempt = 0 THEN created_at '
            'ELSE COALESCE(finished_at, heartbeat_at, created_at) END'
        )
    )


def downgrade() -> None:
    for name in ('seconds_per_epoch', 'phase_seconds', 'paused_seconds', 'waited_seconds', 'status_at'):
        op.drop_column('jobs', name)
