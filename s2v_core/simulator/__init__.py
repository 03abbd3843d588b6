"""The service, imitated."""
