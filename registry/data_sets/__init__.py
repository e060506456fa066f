"""Files and their versions: uploaded or fetched, checked, announced, deleted."""
