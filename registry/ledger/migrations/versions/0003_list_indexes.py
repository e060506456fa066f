"""Lists of jobs in one status, and models by a checkpoint's name, without reading all rows."""

from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        op.f('ix_jobs_organization_id_status_created_at'), 'jobs', ['organization_id', 'status', 'created_at'], unique=False
    )
    op.create_index(
        op.f('ix_checkpoints_organization_id_name'), 'checkpoints', ['organization_id', 'name'], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f('ix_checkpoints_organization_id_name'), table_name='checkpoints')
    op.drop_index(op.f('ix_jobs_organization_id_status_created_at'), table_name='jobs')
