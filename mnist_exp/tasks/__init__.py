"""What is learnt: classification, binary, multilabel or regression.

Each task owns the meaning of labels and of a model's outputs: their checks, the default loss, metrics, scores, the
table of predictions and the pictures. `builders` has what `task=NAME` chooses; a task of one's own derives from
`task.Task`.
"""
