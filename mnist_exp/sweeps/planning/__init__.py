"""What is to be run: the rules, the values, choices and seeds of the options, and the plan with all its jobs.

`identity` says which earlier sweep a command continues, `start` what a search knows from the beginning.
"""
