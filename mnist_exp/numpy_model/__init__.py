"""A recorded model computed by NumPy alone, in place of Keras and TensorFlow, whose imports take seconds.

`archive` reads a .keras file that it has checked, `graph` makes steps of its configuration, `layers` and
`window_layers` know what Keras's layers compute, `model` computes, and `agreement` says whether it computes as Keras
does. What is not known here is left to Keras.
"""
