"""The formats in which data sets are distributed: a file or folder becomes raw arrays, hostile input an error.

A module for each format. None scales pixels or renumbers labels; a loader makes a `Source` of what it read.
"""
