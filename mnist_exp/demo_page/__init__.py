"""The page of the demo, where one draws, and the server behind it."""
