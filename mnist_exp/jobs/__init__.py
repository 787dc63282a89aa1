"""One job of a sweep, and the launchers that carry it: this machine's workers, Ray, Slurm.

`job` is what runs in a worker; `events` is how it tells the launching process what happens.
"""
