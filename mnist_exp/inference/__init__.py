"""From a recorded model and any image to an answer: loading, preprocessing, ensembles, export.

A model may come from somebody else: `allow_list` is what it may name, and nothing of it runs before that is checked.
"""
