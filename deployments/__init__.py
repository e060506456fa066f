"""Where it runs: the one-machine stack, work pools and deployments.

Rule of this layer: it may start any other and import them, and nobody imports it. The supervisor (``stack``) stays light:
what needs Prefect or MLflow is done in a child.
"""
