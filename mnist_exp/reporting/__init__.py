"""A report on many runs: which of them, in which groups, what differs and how surely, pictures and page."""
