"""The process itself: how it imports, computes, stops, shows and keeps secrets.

Nothing here knows of configurations, data or runs. `terminal` is what a person sees, `signals` what ends a process.
"""
