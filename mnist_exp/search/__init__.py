"""Searches by Optuna: the space, the study that processes share, its storage, the samplers."""
