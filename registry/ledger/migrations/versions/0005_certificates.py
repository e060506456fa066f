"""Proofs that are made on jobs, and the devices that they are made on."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('certificates',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('type', sa.String(length=255), nullable=False),
    sa.Column('status', sa.String(length=255), nullable=False),
    sa.Column('steps', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('finished_at', sa.Float(precision=53), nullable=True),
    sa.Column('submission', sa.Integer(), nullable=False),
    sa.Column('pool', sa.String(length=255), nullable=True),
    sa.Column('flow_run_id', sa.String(length=255), nullable=True),
    sa.Column('flow_run_url', sa.Text(), nullable=True),
    sa.Column('process_id', sa.Integer(), nullable=True),
    sa.Column('process_started_at', sa.Float(precision=53), nullable=True),
    sa.Column('host', sa.String(length=255), nullable=True),
    sa.Column('heartbeat_at', sa.Float(precision=53), nullable=True),
    sa.Column('request_state', sa.String(length=255), nullable=True),
    sa.Column('error', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('document', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('job_id', sa.String(length=255), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_certificates_job_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_certificates_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_certificates'))
    )
    op.create_index(op.f('ix_certificates_organization_id'), 'certificates', ['organization_id'], unique=False)
    op.create_index(op.f('ix_certificates_status'), 'certificates', ['status'], unique=False)
    # SQLite adds no foreign key to a table that is there: it is made anew, with its few rows.
    with op.batch_alter_table('leases') as leases:
        leases.add_column(sa.Column('certificate_id', sa.String(length=255), nullable=True))
        leases.create_foreign_key(op.f('fk_leases_certificate_id'), 'certificates', ['certificate_id'], ['id'])


def downgrade() -> None:
    with op.batch_alter_table('leases') as leases:
        leases.drop_constraint(op.f('fk_leases_certificate_id'), type_='foreignkey')
        leases.drop_column('certificate_id')
    op.drop_index(op.f('ix_certificates_status'), table_name='certificates')
    op.drop_index(op.f('ix_certificates_organization_id'), table_name='certificates')
    op.drop_table('certificates')
