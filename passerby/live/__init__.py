"""Streams that run: a live source, a model, identities and counts, and where the results go."""
