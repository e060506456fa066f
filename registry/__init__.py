"""The memory: every named thing, kept. SQL for records, MLflow for models, adapters and curves.

Rule of this layer: it imports ``afinador`` only, knows neither Prefect's client nor FastAPI, scopes every query to an
organisation, and changes a state only by a conditional update, never by reading first and writing later.
"""
