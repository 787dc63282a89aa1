"""What is kept of a sweep: its parent run, with leaderboard, conclusion and description, and the models that stay.

`recovery` gives the study of a search back what its storage lost.
"""
