"""What a person or a program is told of a sweep: its jobs and its price before, its progress, and what came of it."""
