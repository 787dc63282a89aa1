"""Keras: a model is built, trained, checkpointed and tested here.

Nothing here knows of Hydra, MLflow or the screen. `fit` is where a training begins.
"""
