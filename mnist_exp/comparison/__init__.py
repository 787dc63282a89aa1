"""What may be concluded from runs: groups of equal configuration, their statistics, and the conclusions in words.

Start reading in `groups`; sweeps and reports say the same, because both ask `verdict`.
"""
