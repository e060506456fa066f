"""How a data set is to be read, and where on the Hugging Face Hub it comes from."""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('files', sa.Column('reading', sa.JSON(none_as_null=True)))
    op.add_column('files', sa.Column('source', sa.Text()))
    op.add_column('files', sa.Column('revision', sa.String(255)))


def downgrade() -> None:
    for name in ('revision', 'source', 'reading'):
        op.drop_column('files', name)
