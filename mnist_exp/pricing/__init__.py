"""What a sweep will cost before it starts: epochs, time, disk, and the smallest difference that it could tell apart.

By earlier runs of these models where there are some, else by a few steps measured now.
"""
