"""Files of every format: found out, read as records, written."""
