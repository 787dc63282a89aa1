"""What becomes of a run outside its process: its records, on their way to a store, and what it needs to go on."""
