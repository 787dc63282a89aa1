"""The record of a run: written to MLflow, kept on disk while the store is away, found and read again.

Every run is recorded through `tracker`. `store` holds the address of the store, and `runs` reads what it holds.
"""
