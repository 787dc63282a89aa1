"""What came of the jobs so far: their rows, ranked, what mattered among their options, and the figures of that."""
