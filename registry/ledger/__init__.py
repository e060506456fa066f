"""The SQL ledger: its connection, migrations, tables, ids and pages."""
