"""Recorded runs as data: tables with typed columns, for the screen, for files and for pandas.

`choice` finds the runs, `frame` makes a DataFrame of them; `listing` is what the screen
shows. The forms that other programs read are in `schemas`.
"""
