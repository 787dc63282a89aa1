"""The configuration as typed, checked settings: `schema` has every option, `components` which code may be named.

`parse` finds every problem with the options; `rules` those that show when options meet. No Hydra's composing, no data
set and no Keras here: a problem is found before any of them is touched.
"""
