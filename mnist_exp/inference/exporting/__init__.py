"""A model in the format of another runtime: written, opened there, compared with Keras, and made small.

`formats` writes and reads it, `quantizing` makes it small, `parity` says whether two agree, `cost` what is lost, and
`files` is where it goes.
"""
