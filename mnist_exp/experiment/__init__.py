"""One experiment from settings to record: `runner` reads as the experiment; start reading there.

`resume` is which run may go on, and from where; `job_key` is what decides a result; `provenance` where a run came from.
"""
