"""What mattered in a sweep: importance of options, partial dependence, a path from the defaults, the best so far."""
