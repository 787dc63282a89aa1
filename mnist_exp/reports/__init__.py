"""Runs compared on one page: which runs, what they share, what may be concluded, how it looks."""
