"""What Prefect runs of it: runs submitted, resumed and settled, and the housekeeping that compares both."""
