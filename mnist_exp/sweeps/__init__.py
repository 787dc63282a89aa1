"""A whole sweep: planned and checked, launched, followed, ranked and recorded under one parent run.

Start reading in `sweep`.
"""
