"""How good predictions are: metrics, pictures, saliency, and the statistics of comparisons.

Works on arrays; knows no runs and no store.
"""
