"""Lists of files, newest first, without reading all rows."""

from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f('ix_files_organization_id_created_at'), 'files', ['organization_id', 'created_at'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_files_organization_id_created_at'), table_name='files')
