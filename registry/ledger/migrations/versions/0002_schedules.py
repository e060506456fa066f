"""Saved specs start jobs: what retrains, which job came of which spec, and what Prefect is to be told."""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('dataset_updates',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('file_id', sa.String(length=255), nullable=False),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['file_id'], ['files.id'], name=op.f('fk_dataset_updates_file_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_dataset_updates_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dataset_updates'))
    )
    op.create_index(op.f('ix_dataset_updates_organization_id'), 'dataset_updates', ['organization_id'], unique=False)
    op.add_column('job_specs', sa.Column('retrain_on_update', sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column('jobs', sa.Column('job_spec_id', sa.String(length=255), nullable=True))
    op.add_column('jobs', sa.Column('job_spec', sa.String(length=255), nullable=True))
    op.add_column('jobs', sa.Column('submission_run_id', sa.String(length=255), nullable=True))
    op.create_index(op.f('ix_jobs_submission_run_id'), 'jobs', ['submission_run_id'], unique=False)
    op.create_index(op.f('ix_jobs_job_spec_id'), 'jobs', ['job_spec_id'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_jobs_job_spec_id'), table_name='jobs')
    op.drop_index(op.f('ix_jobs_submission_run_id'), table_name='jobs')
    op.drop_column('jobs', 'submission_run_id')
    op.drop_column('jobs', 'job_spec')
    op.drop_column('jobs', 'job_spec_id')
    op.drop_column('job_specs', 'retrain_on_update')
    op.drop_index(op.f('ix_dataset_updates_organization_id'), table_name='dataset_updates')
    op.drop_table('dataset_updates')
