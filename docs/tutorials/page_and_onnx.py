r"""
From a run to a page and an ONNX file
=====================================

You compare two models on one page that you can send to somebody, and hand the better one to a program that knows nothing of Keras.
"""

from lesson import FOLDER, found, shell, show

# %%
# Two runs
# --------
#
# ``tracking.register_as=digits`` gives the model a name. The best version of that name gets the alias ``champion``. For that the
# runs must be selected on images held out, not on the test images.

options = "data=mnist_5k data.validation=1000 trainer.epochs=3"
train = f"python -m mnist_exp.run {options} tracking.register_as=digits"
first = shell(f"{train} model=mlp")
second = shell(f"{train} model=lenet5 model.activation=relu")

# %%
# One page
# --------

runs = f"{found('run', first)} {found('run', second)}"
shell(f"python -m mnist_exp.report {runs} --output page")
shell("ls page")
show("page/learning_curves.png")

# %%
# ``page/index.html`` needs nothing else and asks nothing of the network: open it, or send it. Two runs with one seed each are two
# models, so the verdict is about these two models on these test images. It says nothing of other seeds; lesson two does.
#
# One file
# --------
#
# ``export`` writes the model for another runtime. It then lets both read the test images, and keeps the file only if they agree.

shell("python -m mnist_exp.export models:/digits@champion --format onnx --output digits.onnx")

# %%
# Another program
# ---------------
#
# This one imports ONNX Runtime and NumPy, and neither Keras nor ``mnist_exp``. The model takes raw pixels from 0 to 255. Here is an image
# of nothing but a line down the middle, which should be a 1.

import numpy as np
import onnxruntime

image = np.zeros((1, 28, 28, 1), np.float32)
image[0, 4:24, 13:15] = 255
session = onnxruntime.InferenceSession(FOLDER / "digits.onnx")
(probabilities,) = session.run(None, {"pixels": image})
print("it reads a", probabilities.argmax(), "with probability", probabilities.max().round(3))

# %%
# What to try next
# ----------------
#
# * ``--format litert`` for a telephone, ``savedmodel`` for TensorFlow Serving, ``keras`` for Keras without this package.
# * ``python -m mnist_exp.predict models:/digits@champion photo.jpg``: a photograph, made ready as MNIST was made.
# * ``mlflow models serve -m models:/digits@champion --env-manager local``: the same model behind an address.
