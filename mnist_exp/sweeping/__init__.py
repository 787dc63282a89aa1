"""Sweeps: planned and checked whole, carried by any Hydra launcher, recorded under one parent, never repeated."""
