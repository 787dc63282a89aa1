"""Metrics, figures, saliency maps and statistical tests.

These modules work on arrays. They know nothing of runs or of the tracking store.
"""
