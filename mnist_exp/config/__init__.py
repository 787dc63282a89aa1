"""The configuration as typed, checked settings: `schema` has every option, `components` which code may be named.

No Hydra, no data set and no Keras here: a mistake is found before any of them is touched.
"""
