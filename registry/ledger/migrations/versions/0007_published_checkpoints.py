"""Checkpoints in the hub, beside what their job has published at its end."""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite drops no constraint of a table that is there: it is made anew.
    with op.batch_alter_table('hub_versions') as hub_versions:
        hub_versions.add_column(sa.Column('checkpoint_step', sa.Integer(), nullable=True))
        hub_versions.drop_constraint(op.f('uq_hub_versions_job_id'), type_='unique')
        hub_versions.create_index(op.f('ix_hub_versions_job_id'), ['job_id'], unique=False)


def downgrade() -> None:
    op.execute(sa.text('DELETE FROM hub_versions WHERE checkpoint_step IS NOT NULL'))
    with op.batch_alter_table('hub_versions') as hub_versions:
        hub_versions.drop_index(op.f('ix_hub_versions_job_id'))
        hub_versions.create_unique_constraint(op.f('uq_hub_versions_job_id'), ['job_id'])
        hub_versions.drop_column('checkpoint_step')
