"""One experiment from settings to record: `runner` reads as the experiment; start reading there.

`resume` is which run may go on, and from where; `provenance` is where a run came from, and its job key.
"""
