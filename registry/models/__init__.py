"""Base models: registered from folders, uploads and a Hub, and who depends on them."""
