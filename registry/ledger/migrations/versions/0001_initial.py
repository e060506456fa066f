"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('operator_keys',
    sa.Column('hash', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.PrimaryKeyConstraint('hash', name=op.f('pk_operator_keys'))
    )
    op.create_table('organizations',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_organizations')),
    sa.UniqueConstraint('name', name=op.f('uq_organizations_name'))
    )
    op.create_table('api_keys',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('hash', sa.String(length=255), nullable=False),
    sa.Column('prefix', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('revoked_at', sa.Float(precision=53), nullable=True),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_api_keys_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_keys')),
    sa.UniqueConstraint('hash', name=op.f('uq_api_keys_hash'))
    )
    op.create_index(op.f('ix_api_keys_organization_id'), 'api_keys', ['organization_id'], unique=False)
    op.create_table('base_models',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('visibility', sa.String(length=255), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('origin', sa.String(length=255), nullable=False),
    sa.Column('path', sa.Text(), nullable=True),
    sa.Column('status', sa.String(length=255), nullable=False),
    sa.Column('status_details', sa.Text(), nullable=True),
    sa.Column('architecture', sa.String(length=255), nullable=True),
    sa.Column('task', sa.String(length=255), nullable=True),
    sa.Column('parameters', sa.BigInteger(), nullable=True),
    sa.Column('sha256', sa.String(length=255), nullable=True),
    sa.Column('files', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('license', sa.String(length=255), nullable=True),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_base_models_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_base_models')),
    sa.UniqueConstraint('organization_id', 'name', name=op.f('uq_base_models_organization_id_name'))
    )
    op.create_index(op.f('ix_base_models_organization_id'), 'base_models', ['organization_id'], unique=False)
    op.create_table('files',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('filename', sa.String(length=255), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('purpose', sa.String(length=255), nullable=False),
    sa.Column('type', sa.String(length=255), nullable=False),
    sa.Column('storage_key', sa.Text(), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('sha256', sa.String(length=255), nullable=False),
    sa.Column('format', sa.String(length=255), nullable=True),
    sa.Column('status', sa.String(length=255), nullable=False),
    sa.Column('status_details', sa.Text(), nullable=True),
    sa.Column('report', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('records', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('deleted_at', sa.Float(precision=53), nullable=True),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_files_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_files')),
    sa.UniqueConstraint('organization_id', 'filename', 'version', name=op.f('uq_files_organization_id_filename_version'))
    )
    op.create_index(op.f('ix_files_organization_id'), 'files', ['organization_id'], unique=False)
    op.create_index(op.f('ix_files_sha256'), 'files', ['sha256'], unique=False)
    op.create_index(op.f('ix_files_status'), 'files', ['status'], unique=False)
    op.create_table('job_specs',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('request', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_job_specs_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_job_specs')),
    sa.UniqueConstraint('organization_id', 'name', name=op.f('uq_job_specs_organization_id_name'))
    )
    op.create_index(op.f('ix_job_specs_organization_id'), 'job_specs', ['organization_id'], unique=False)
    op.create_table('jobs',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('finished_at', sa.Float(precision=53), nullable=True),
    sa.Column('status', sa.String(length=255), nullable=False),
    sa.Column('base_model_id', sa.String(length=255), nullable=False),
    sa.Column('base_model', sa.String(length=255), nullable=False),
    sa.Column('training_file_id', sa.String(length=255), nullable=False),
    sa.Column('validation_file_id', sa.String(length=255), nullable=True),
    sa.Column('tuning_method', sa.String(length=255), nullable=False),
    sa.Column('task', sa.String(length=255), nullable=False),
    sa.Column('output_model', sa.String(length=255), nullable=True),
    sa.Column('fine_tuned_model', sa.Text(), nullable=True),
    sa.Column('suffix', sa.String(length=255), nullable=True),
    sa.Column('seed', sa.Integer(), nullable=False),
    sa.Column('metadata', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('tags', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('domain', sa.String(length=255), nullable=True),
    sa.Column('request', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('spec', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('method', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('pool', sa.String(length=255), nullable=True),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('request_state', sa.String(length=255), nullable=True),
    sa.Column('steps_done', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('submission', sa.Integer(), nullable=False),
    sa.Column('flow_run_id', sa.String(length=255), nullable=True),
    sa.Column('flow_run_url', sa.Text(), nullable=True),
    sa.Column('process_id', sa.Integer(), nullable=True),
    sa.Column('process_started_at', sa.Float(precision=53), nullable=True),
    sa.Column('host', sa.String(length=255), nullable=True),
    sa.Column('heartbeat_at', sa.Float(precision=53), nullable=True),
    sa.Column('mlflow_run_id', sa.String(length=255), nullable=True),
    sa.Column('progress_artifact_id', sa.String(length=255), nullable=True),
    sa.Column('progress', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('metrics', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('trained_tokens', sa.BigInteger(), nullable=True),
    sa.Column('result_files', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('error', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('cursors', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_jobs_organization_id')),
    sa.ForeignKeyConstraint(['training_file_id'], ['files.id'], name=op.f('fk_jobs_training_file_id')),
    sa.ForeignKeyConstraint(['validation_file_id'], ['files.id'], name=op.f('fk_jobs_validation_file_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_jobs')),
    sa.UniqueConstraint('organization_id', 'name', name=op.f('uq_jobs_organization_id_name'))
    )
    op.create_index(op.f('ix_jobs_base_model_id'), 'jobs', ['base_model_id'], unique=False)
    op.create_index(op.f('ix_jobs_flow_run_id'), 'jobs', ['flow_run_id'], unique=False)
    op.create_index(op.f('ix_jobs_organization_id'), 'jobs', ['organization_id'], unique=False)
    op.create_index(op.f('ix_jobs_organization_id_created_at'), 'jobs', ['organization_id', 'created_at'], unique=False)
    op.create_index(op.f('ix_jobs_status'), 'jobs', ['status'], unique=False)
    op.create_index(op.f('ix_jobs_training_file_id'), 'jobs', ['training_file_id'], unique=False)
    op.create_index(op.f('ix_jobs_validation_file_id'), 'jobs', ['validation_file_id'], unique=False)
    op.create_table('attempts',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('started_at', sa.Float(precision=53), nullable=False),
    sa.Column('ended_at', sa.Float(precision=53), nullable=True),
    sa.Column('end', sa.String(length=255), nullable=True),
    sa.Column('host', sa.String(length=255), nullable=True),
    sa.Column('process_id', sa.Integer(), nullable=True),
    sa.Column('flow_run_id', sa.String(length=255), nullable=True),
    sa.Column('job_id', sa.String(length=255), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_attempts_job_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_attempts_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attempts')),
    sa.UniqueConstraint('job_id', 'number', name=op.f('uq_attempts_job_id_number'))
    )
    op.create_index(op.f('ix_attempts_organization_id'), 'attempts', ['organization_id'], unique=False)
    op.create_table('checkpoints',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('step_number', sa.Integer(), nullable=False),
    sa.Column('storage_key', sa.Text(), nullable=False),
    sa.Column('metrics', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('job_id', sa.String(length=255), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_checkpoints_job_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_checkpoints_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_checkpoints')),
    sa.UniqueConstraint('job_id', 'step_number', name=op.f('uq_checkpoints_job_id_step_number'))
    )
    op.create_index(op.f('ix_checkpoints_organization_id'), 'checkpoints', ['organization_id'], unique=False)
    op.create_table('events',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('sequence', sa.Integer(), nullable=False),
    sa.Column('level', sa.String(length=255), nullable=False),
    sa.Column('type', sa.String(length=255), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('data', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('dedup_key', sa.String(length=255), nullable=True),
    sa.Column('job_id', sa.String(length=255), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_events_job_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_events_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_events')),
    sa.UniqueConstraint('job_id', 'dedup_key', name=op.f('uq_events_job_id_dedup_key')),
    sa.UniqueConstraint('job_id', 'sequence', name=op.f('uq_events_job_id_sequence'))
    )
    op.create_index(op.f('ix_events_organization_id'), 'events', ['organization_id'], unique=False)
    op.create_table('hub_versions',
    sa.Column('id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(length=255), nullable=False),
    sa.Column('alias', sa.Text(), nullable=False),
    sa.Column('base_model_id', sa.String(length=255), nullable=False),
    sa.Column('base_model', sa.String(length=255), nullable=False),
    sa.Column('job_id', sa.String(length=255), nullable=False),
    sa.Column('training_file_id', sa.String(length=255), nullable=False),
    sa.Column('tuning_method', sa.String(length=255), nullable=False),
    sa.Column('task', sa.String(length=255), nullable=False),
    sa.Column('parameters', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('metrics', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('files', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('storage_prefix', sa.Text(), nullable=False),
    sa.Column('mlflow_model_version', sa.String(length=255), nullable=True),
    sa.Column('visibility', sa.String(length=255), nullable=False),
    sa.Column('domain', sa.String(length=255), nullable=True),
    sa.Column('tags', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('created_at', sa.Float(precision=53), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_hub_versions_job_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_hub_versions_organization_id')),
    sa.ForeignKeyConstraint(['training_file_id'], ['files.id'], name=op.f('fk_hub_versions_training_file_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hub_versions')),
    sa.UniqueConstraint('job_id', name=op.f('uq_hub_versions_job_id')),
    sa.UniqueConstraint('organization_id', 'alias', name=op.f('uq_hub_versions_organization_id_alias')),
    sa.UniqueConstraint('organization_id', 'name', 'version', name=op.f('uq_hub_versions_organization_id_name_version'))
    )
    op.create_index(op.f('ix_hub_versions_base_model_id'), 'hub_versions', ['base_model_id'], unique=False)
    op.create_index(op.f('ix_hub_versions_organization_id'), 'hub_versions', ['organization_id'], unique=False)
    op.create_table('leases',
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('device', sa.String(length=255), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('taken_at', sa.Float(precision=53), nullable=False),
    sa.Column('job_id', sa.String(length=255), nullable=False),
    sa.Column('organization_id', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_leases_job_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name=op.f('fk_leases_organization_id')),
    sa.PrimaryKeyConstraint('host', 'device', name=op.f('pk_leases'))
    )
    op.create_index(op.f('ix_leases_organization_id'), 'leases', ['organization_id'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_leases_organization_id'), table_name='leases')
    op.drop_table('leases')
    op.drop_index(op.f('ix_hub_versions_organization_id'), table_name='hub_versions')
    op.drop_index(op.f('ix_hub_versions_base_model_id'), table_name='hub_versions')
    op.drop_table('hub_versions')
    op.drop_index(op.f('ix_events_organization_id'), table_name='events')
    op.drop_table('events')
    op.drop_index(op.f('ix_checkpoints_organization_id'), table_name='checkpoints')
    op.drop_table('checkpoints')
    op.drop_index(op.f('ix_attempts_organization_id'), table_name='attempts')
    op.drop_table('attempts')
    op.drop_index(op.f('ix_jobs_validation_file_id'), table_name='jobs')
    op.drop_index(op.f('ix_jobs_training_file_id'), table_name='jobs')
    op.drop_index(op.f('ix_jobs_status'), table_name='jobs')
    op.drop_index(op.f('ix_jobs_organization_id_created_at'), table_name='jobs')
    op.drop_index(op.f('ix_jobs_organization_id'), table_name='jobs')
    op.drop_index(op.f('ix_jobs_flow_run_id'), table_name='jobs')
    op.drop_index(op.f('ix_jobs_base_model_id'), table_name='jobs')
    op.drop_table('jobs')
    op.drop_index(op.f('ix_job_specs_organization_id'), table_name='job_specs')
    op.drop_table('job_specs')
    op.drop_index(op.f('ix_files_status'), table_name='files')
    op.drop_index(op.f('ix_files_sha256'), table_name='files')
    op.drop_index(op.f('ix_files_organization_id'), table_name='files')
    op.drop_table('files')
    op.drop_index(op.f('ix_base_models_organization_id'), table_name='base_models')
    op.drop_table('base_models')
    op.drop_index(op.f('ix_api_keys_organization_id'), table_name='api_keys')
    op.drop_table('api_keys')
    op.drop_table('organizations')
    op.drop_table('operator_keys')
