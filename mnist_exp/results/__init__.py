"""Recorded runs as data: tables with typed columns, for the screen, for files and for pandas.

`choice` finds the runs, `record` makes plain values of one, `frame` a DataFrame of many; `listing` is what the screen
shows. The forms that other programs read are in `schemas`.
"""
