"""`mlflow models serve` on a run's logged model answers raw pixels over HTTP, as README shows it."""

import json
import os
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from real_browser import free_port, serving
from real_runs import SMALL

from mnist_exp import compose, load_model, run

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a server, and the model that it should have."""
    place = tmp_path_factory.mktemp("serving")
    uri = f"sqlite:///{place}/mlflow.db"
    run_id = run(compose([*SMALL, "trainer.epochs=2", f"tracking.uri={uri}"])).run_id
    base = f"http://127.0.0.1:{(port := free_port())}"
    words = ["mlflow", "models", "serve", "-m", f"runs:/{run_id}/model", "--env-manager", "local"]
    path = f"{sys.exec_prefix}/bin:{os.environ['PATH']}"  # It calls uvicorn by its name.
    with serving([*words, "--port", str(port)], f"{base}/ping", MLFLOW_TRACKING_URI=uri, PATH=path):
        yield f"{base}/invocations", load_model(run_id, uri)


def ask(address, content):
    """Return status and answer of a POST with JSON, or with a text as it is."""
    body = content if isinstance(content, str) else json.dumps(content)
    request = urllib.request.Request(address, body.encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.parametrize("key", ["inputs", "instances"])
def test_raw_pixels_are_answered_as_the_model_answers(served, digits, key):
    address, model = served
    x = digits[1][0][:5, ..., None]
    status, answer = ask(address, {key: x.tolist()})
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], model.predict(x, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((2, 28, 28), "(-1, 28, 28, 1)"), ((2, 20, 20, 1), "(-1, 28, 28, 1)"), ((28,), "(-1, 28, 28, 1)")],
)
def test_wrong_shape_is_told(served, shape, words):
    status, answer = ask(served[0], {"inputs": np.zeros(shape, int).tolist()})
    assert status == 400
    assert words in answer["message"]


@pytest.mark.parametrize(
    ("content", "words"),
    [([[1, 2]], "must be a JSON dictionary"), ('{"inputs": [[', "valid JSON"), ({"pixels": [1]}, "exactly one of")],
)
def test_what_is_no_question_is_told(served, content, words):
    status, answer = ask(served[0], content)
    assert status == 400
    assert words in answer["message"]
