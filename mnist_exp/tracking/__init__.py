"""What becomes of a run outside its process: recorded in MLflow, kept on disk meanwhile, found and read again.

`tracker` is the one door through which a run is recorded, `store` where, `runs` how it is read.
"""
