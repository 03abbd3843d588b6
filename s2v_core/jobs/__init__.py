"""A paid call that survives everything."""
