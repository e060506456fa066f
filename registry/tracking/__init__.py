"""MLflow as a library: experiments and curves, versions of models and adapters."""
