"""Data sets that are taken through steps, and what files were made of."""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('preparations',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('status', sa.String(length=255), nullable=False),
    sa.Column('file_id', sa.String(length=255), nullable=False),
    sa.Column('pipeline', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('output', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('finished_at', sa.Float(precision=53), nullable=True),
    sa.Column('submission', sa.Integer(), nullable=False),
    sa.Column('flow_run_id', sa.String(length=255), nullable=True),
    sa.Column('flow_run_url', sa.Text(), nullable=True),
    sa.Column('process_id', sa.Integer(), nullable=True),
    sa.Column('process_started_at', sa.Float(precision=53), nullable=True),
    sa.Column('host', sa.String(length=255), nullable=True),
    sa.Column('heartbeat_at', sa.Float(precision=53), nullable=True),
    sa.Column('error', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('report', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('outputs', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['file_id'], ['files.id'], name=op.f('fk_preparations_file_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_preparations_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_preparations'))
    )
    op.create_index(op.f('ix_preparations_file_id'), 'preparations', ['file_id'], unique=False)
    op.create_index(op.f('ix_preparations_organization_id'), 'preparations', ['organization_id'], unique=False)
    op.create_index(op.f('ix_preparations_status'), 'preparations', ['status'], unique=False)
    op.add_column('files', sa.Column('lineage', sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column('files', 'lineage')
    op.drop_index(op.f('ix_preparations_status'), table_name='preparations')
    op.drop_index(op.f('ix_preparations_organization_id'), table_name='preparations')
    op.drop_index(op.f('ix_preparations_file_id'), table_name='preparations')
    op.drop_table('preparations')
