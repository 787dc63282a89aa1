"""One call of a sweep, and what the calls before it left: runs in the store, results to reuse, trials to go on with."""
