"""Searches with Optuna: the space, the study that all processes share, its storage and its samplers."""
