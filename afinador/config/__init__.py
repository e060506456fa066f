"""From JSON and YAML to one checked ``FineTuningSpec``: defaults < operator < file < request."""
