"""From YAML groups and the command line to one configuration, by Hydra.

`compose` does it, `explain` says what is wrong, `hydra_policy` is what Hydra itself may do, `preflight` finds every
problem before anything heavy is imported.
"""
