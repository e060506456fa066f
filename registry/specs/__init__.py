"""Saved requests of jobs, and the jobs that Prefect starts from them."""
