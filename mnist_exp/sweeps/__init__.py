"""A sweep from end to end: it is planned, checked, launched, shown, ranked and recorded under one parent run.

Start reading in `sweep`. Its rooms, the lowest first: `planning`, `outcome`, `calls`, `record`, `shown`.
"""
