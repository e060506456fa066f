"""A job as one HTML page: data in, text out. Needs nothing of the service, and loads nothing when it is shown."""
