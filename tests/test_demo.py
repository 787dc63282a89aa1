"""The demo page: its API, refused requests, and, in a real browser, predictions for drawn digits."""

import http.client
import io
import json
import logging
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import real_browser
from PIL import Image

from mnist_exp import commands, compose, demo, run
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.data.loaders import mnist_5k
from mnist_exp.errors import DataError, SettingsError
from mnist_exp.evaluation import saliency
from mnist_exp.inference import preprocessing
from mnist_exp.runtime import local_server
from mnist_exp.tracking.references import find


def options_of(run_id, uri, *more):
    return demo._parser().parse_args([run_id, "--tracking-uri", uri, *more])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run with a good model: its id and its store."""
    place, before = tmp_path_factory.mktemp("demo"), Path.cwd()
    uri = f"sqlite:///{place}/mlflow.db"
    os.chdir(place)
    try:
        result = run(compose(["data=mnist_5k", "data.validation=0.1", "trainer.epochs=5", f"tracking.uri={uri}"]))
    finally:
        os.chdir(before)
    return result.run_id, uri


@pytest.fixture(scope="module")
def shown(recorded):
    """The run's session, served in this process: session, address."""
    options = options_of(*recorded)
    with local_server.listener("127.0.0.1", 0) as listener:
        session = demo.load(find(TrackingSettings(uri=options.tracking_uri), options.run_id), options)
        with demo.serving(session, "127.0.0.1", listener) as address:
            yield session, address


@pytest.fixture
def ask(shown):
    """Send a request to the server; returns status, headers, body."""

    def asked(method, path, body=None, **headers):
        place = shown[1].removeprefix("http://").rstrip("/")
        connection = http.client.HTTPConnection(place, timeout=20)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    return asked


def png(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def test_page_needs_nothing_from_elsewhere(ask):
    for path in ("/", "/page.css", "/page.js", "/pad.js", "/answers.js"):
        status, headers, content = ask("GET", path)
        assert status == 200
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert b"http" not in content
        assert b"innerHTML" not in content
    assert ask("GET", "/docs")[0] == ask("GET", "/openapi.json")[0] == ask("GET", "/../demo.py")[0] == 404


def test_about_describes_the_run(ask, recorded):
    about = json.loads(ask("GET", "/api/about")[2])
    assert about["run_id"] == recorded[0]
    assert about["classes"] == [str(digit) for digit in range(10)]
    assert about["ways"] == ["mnist", "plain"]
    assert 0.9 < about["test_accuracy"] < 1
    assert round(1000 * (1 - about["test_accuracy"])) == about["mistakes_count"]


def test_mistakes_are_read_again_as_they_were(ask):
    about = json.loads(ask("GET", "/api/about")[2])
    x = mnist_5k().test[0]
    for number, mistake in enumerate(about["mistakes"][:5]):
        status, headers, content = ask("GET", f"/api/mistakes/{number}.png")
        assert (status, headers["content-type"]) == (200, "image/png")
        assert any(np.array_equal(np.asarray(Image.open(io.BytesIO(content))), image) for image in x)
        answers = json.loads(ask("POST", "/api/read", content)[2])
        for way in ("mnist", "plain"):
            assert answers[way]["label"] == mistake["predicted"] != mistake["label"]
            assert answers[way]["probabilities"][mistake["predicted"]] == pytest.approx(
                mistake["probability"], abs=2e-4
            )
    assert ask("GET", "/api/mistakes/9999.png")[0] == ask("GET", "/api/mistakes/-1.png")[0] == 404


def test_a_digit_in_a_corner_is_read_as_mnist_was_made(ask):
    page = np.full((300, 300), 255, np.uint8)
    page[10:94, 10:94] = 255 - np.asarray(Image.fromarray(mnist_5k().test[0][0]).resize((84, 84)))
    answers = json.loads(ask("POST", "/api/read", png(page))[2])
    assert answers["mnist"]["label"] == 0
    assert answers["mnist"]["probabilities"][0] > answers["plain"]["probabilities"][0]
    assert answers["mnist"]["notes"] == ["inverted: dark on light", "drawn anew as in MNIST"]
    assert answers["plain"]["notes"] == ["inverted: dark on light", "scaled from 300×300 to 28×28"]
    heat = json.loads(ask("POST", "/api/look?way=mnist", png(page))[2])["heat"]
    assert np.shape(heat) == (28, 28)
    assert np.abs(heat).max() == 1


def test_doubt_is_shown_as_predict_shows_it(ask):
    digit, noise = mnist_5k().test[0][0], np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    (calibrated,) = json.loads(ask("POST", "/api/read", png(digit))[2])["mnist"]["doubt"]
    assert re.fullmatch(r"calibrated [01]\.\d{4}", calibrated)
    assert "unlike all training images" in json.loads(ask("POST", "/api/read", png(noise))[2])["mnist"]["doubt"]
    assert b"answer.doubt" in ask("GET", "/answers.js")[2]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Host": "192.168.0.1"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_other_pages_and_names_are_refused(ask, headers, status):
    assert ask("GET", "/api/about", None, **headers)[0] == status


def test_bad_images_give_errors(ask):
    assert "not an image" in json.loads(ask("POST", "/api/read", b"text")[2])["mnist"]["error"]
    assert json.loads(ask("POST", "/api/read", png(np.zeros((9, 9), np.uint8)))[2])["plain"] == {
        "error": "nothing is drawn"
    }
    assert ask("POST", "/api/look?way=mnist", b"text")[0] == 422
    assert ask("POST", "/api/look?way=other", b"text")[0] == 422
    assert ask("POST", "/api/read", b"", Content_Length="99000000")[0] == 413
    assert ask("POST", "/api/read", iter([b"x" * 13_000_000] * 2))[0] == 413
    assert ask("GET", "/api/about")[0] == 200


def test_images_are_read_one_at_a_time(shown, monkeypatch):
    busy, most, read_image = [], [], preprocessing.read_image

    def slowly(*arguments, **options):
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.01)
        busy.pop()
        return read_image(*arguments, **options)

    monkeypatch.setattr(preprocessing, "read_image", slowly)
    content = png(mnist_5k().test[0][0])
    with ThreadPoolExecutor(4) as pool:
        assert len({str(answer) for answer in pool.map(shown[0].read, [content] * 8)}) == 1
    assert (len(most), max(most)) == (16, 1)


def test_page_closed_while_it_sends_logs_nothing(ask, shown, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "handlers", [caplog.handler])
    host, port = shown[1].removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((host, int(port))) as left:
        left.sendall(f"POST /api/read HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9\r\n\r\nx".encode())
        assert ask("GET", "/api/about")[0] == 200
    assert ask("POST", "/api/read", b"text")[0] == 200
    time.sleep(0.2)
    assert not caplog.records


def test_nan_becomes_null_or_an_error(recorded, shown, monkeypatch):
    monkeypatch.setitem(shown[0]._run.metrics, "test_accuracy", float("nan"))
    assert shown[0].about()["test_accuracy"] is None
    diverged = SimpleNamespace(ask=lambda values, _: (np.full((len(values), 10), np.nan, np.float32), None))
    monkeypatch.setattr(shown[0], "_predictor", diverged)
    with pytest.raises(DataError, match="answers with NaN"):
        shown[0].read(png(mnist_5k().test[0][0]))


def test_session_says_why_it_has_no_mistakes(recorded, monkeypatch):
    from mnist_exp.demo_page import session

    options = options_of(*recorded)
    result = find(TrackingSettings(uri=options.tracking_uri), options.run_id)
    result.tags["mnist_exp.data_sha256"] = "0" * 64
    none = session.mistakes_or_why_none(result, demo._settings(result, options))
    assert "but run" in none.why_none
    assert not len(none.images)
    none = session.mistakes_or_why_none(result, SettingsError("it has no configuration"))
    assert none.why_none == "it has no configuration"


def test_saliency_finds_the_pixels_that_matter():
    def predict(images):
        lit = images[:, 4:6, 4:6].mean(axis=(1, 2, 3)) / 255
        return np.stack([0.1 + 0.8 * lit, 0.9 - 0.8 * lit], axis=1)

    image = np.zeros((28, 28, 1), np.uint8)
    image[4:6, 4:6] = image[20:22, 20:22] = 255
    heat = saliency.occlusion_map(predict, image, 0)
    assert heat.shape == (28, 28)
    assert heat[4:6, 4:6].min() == pytest.approx(heat.max(), rel=1e-5)
    assert heat.max() > 1
    assert np.abs(heat[15:, 15:]).max() == 0
    assert np.allclose(saliency.occlusion_map(predict, image, 1), -heat)


@pytest.mark.parametrize("shape", [(2, 2, 1), (9, 70, 3), (224, 100, 4), (1, 1, 1)])
def test_every_pixel_is_covered(shape):
    heat = saliency.occlusion_map(lambda images: np.full((len(images), 2), 0.5), np.zeros(shape, np.uint8), 0)
    assert heat.shape == shape[:2]
    assert np.isfinite(heat).all()


def test_address_in_use_is_reported():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        options = demo._parser().parse_args(["0" * 32, f"--port={port}"])
        assert commands.code_of(lambda: demo.demo(options)) == 2
        with pytest.raises(SettingsError, match=f"--port={port} is in use by another program: choose another, as"):
            local_server.listener("127.0.0.1", port)
    with pytest.raises(SettingsError, match=r"--port=70000 is not allowed"):
        local_server.listener("127.0.0.1", 70000)
    with pytest.raises(SettingsError, match=r"--host=192\.0\.2\.1 is not an address of this machine"):
        local_server.listener("192.0.2.1", 0)
    with pytest.raises(SettingsError, match=r"--host=no\.such\.host\.invalid is not known"):
        local_server.listener("no.such.host.invalid", 0)


def test_host_other_than_this_machine_gives_a_warning(capfd):

    mistakes = SimpleNamespace(labels=[], count=0, tested=0, why_none="none")
    session = SimpleNamespace(mistakes=mistakes, doubt=SimpleNamespace(told=list))
    result = SimpleNamespace(run_id="0", name="n", metrics={})
    demo._announce(demo.Screen(), result, session, "0.0.0.0", "http://0.0.0.0:1/")
    out, err = capfd.readouterr()
    assert "lets everyone who can reach this machine use the page" in err
    assert "http://localhost:1/ " in out
    assert f"http://{socket.gethostname()}:1/, or" in out
    for name in ("192.0.2.7:1", "[2001:db8::7]:1", socket.gethostname(), f"{socket.gethostname()}.local:1"):
        assert local_server._is_named(name, "0.0.0.0")
        assert not local_server._is_named(name, "127.0.0.1")
    assert not local_server._is_named("evil.example", "0.0.0.0")
    demo._announce(demo.Screen(), result, session, "127.0.0.1", "http://127.0.0.1:1/")
    assert capfd.readouterr().err == ""


@pytest.mark.services
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_it_at_once(recorded, number, code):
    run_id, uri = recorded
    words = [sys.executable, "-m", "mnist_exp.demo", run_id, "--tracking-uri", uri, "--port=0"]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A background job of a shell ignores Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        too_long = threading.Timer(120, process.kill)
        too_long.start()
        address = next(result[0] for line in process.stdout if (result := re.search(r"http://\S+/", line)))
        held = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=10)
        held.request("GET", "/")
        assert held.getresponse().read().startswith(b"<!doctype html>")
        began = time.monotonic()
        process.send_signal(number)
        err = process.stderr.read()
        too_long.cancel()
        held.close()
    assert process.returncode == code
    assert "Traceback" not in err
    assert time.monotonic() - began < 10


def arc(x, y, wide, high, start, end):
    """Return points along an ellipse; angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * step / 16) for step in range(17)]
    return [(x + wide * math.cos(angle), y + high * math.sin(angle)) for angle in angles]


# Digits as people write them, in the unit square.
STROKES = {
    0: [arc(0.5, 0.5, 0.22, 0.34, -80, 280)],
    1: [[(0.38, 0.3), (0.52, 0.16), (0.51, 0.5), (0.5, 0.84)]],
    2: [[*arc(0.48, 0.32, 0.2, 0.17, 190, 380), (0.6, 0.5), (0.32, 0.8), (0.5, 0.8), (0.72, 0.82)]],
    3: [arc(0.46, 0.32, 0.18, 0.16, 200, 440) + arc(0.46, 0.66, 0.21, 0.18, -80, 160)],
    4: [
        [(0.36, 0.16), (0.3, 0.36), (0.27, 0.54), (0.5, 0.54), (0.74, 0.53)],
        [(0.62, 0.2), (0.61, 0.5), (0.59, 0.86)],
    ],
    5: [[(0.68, 0.18), (0.38, 0.18), (0.35, 0.45), *arc(0.47, 0.62, 0.2, 0.2, -120, 140)]],
    6: [[(0.62, 0.14), (0.48, 0.28), (0.38, 0.46), *arc(0.5, 0.66, 0.17, 0.19, 190, 545)]],
    7: [[(0.28, 0.2), (0.5, 0.19), (0.72, 0.2), (0.6, 0.45), (0.45, 0.85)]],
    8: [arc(0.5, 0.33, 0.15, 0.16, 60, -240) + arc(0.5, 0.67, 0.19, 0.18, -60, 240)],
    9: [[*arc(0.48, 0.34, 0.17, 0.17, 0, -360), (0.65, 0.4), (0.62, 0.6), (0.55, 0.86)]],
}


@pytest.fixture(scope="module")
def browser():
    with real_browser.browser() as opened:
        yield opened


@pytest.fixture
def page(browser, shown, request):
    """The demo, opened in a browser. At the end its console must be empty."""
    context = browser.new_context(**getattr(request, "param", {}))
    opened, said = context.new_page(), []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(shown[1])
    opened.wait_for_selector("body[data-state=ready]")
    yield opened
    context.close()
    assert said == []


def on_page(page, stroke, scale=1.0, shift=0.0):
    box = page.locator("#pad").bounding_box()
    return [
        (box["x"] + box["width"] * (shift + scale * x), box["y"] + box["height"] * (shift + scale * y))
        for x, y in stroke
    ]


def draw_with_mouse(page, strokes, **place):
    for stroke in strokes:
        first, *others = on_page(page, stroke, **place)
        page.mouse.move(*first)
        page.mouse.down()
        for point in others:
            page.mouse.move(*point)
        page.mouse.up()


def draw_with_finger(page, strokes):
    touch = page.context.new_cdp_session(page)
    for stroke in strokes:
        for number, (x, y) in enumerate(on_page(page, stroke)):
            kind = "touchMove" if number else "touchStart"
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def answer(page, *states):
    """Return the predicted label as soon as the page is in one of these states."""
    page.wait_for_selector(",".join(f"body[data-state={state}]" for state in states or ("answered", "looked")))
    return page.locator("[data-way=mnist] .label").inner_text()


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 2}


@pytest.mark.services
@pytest.mark.parametrize(
    ("page", "draw"),
    [({}, draw_with_mouse), ({"color_scheme": "dark"}, draw_with_mouse), (PHONE, draw_with_finger)],
    indirect=["page"],
    ids=["mouse", "mouse, dark", "finger"],
)
def test_drawn_digits_are_predicted(page, draw):
    right = 0
    for digit, strokes in STROKES.items():
        page.click("#clear")
        draw(page, strokes)
        right += answer(page) == str(digit)
    assert right >= 9
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.services
def test_all_controls_of_the_page(page):
    draw_with_mouse(page, STROKES[7], scale=0.4)
    assert answer(page, "looked") == "7"
    assert page.locator("[data-way=mnist] .bar.best .name").inner_text() == "7"
    assert page.locator("[data-way=mnist] .sees").get_attribute("src").startswith("data:image/png")
    draw_with_mouse(page, [[(0.5, 0.9), (0.9, 0.9)]])
    page.click("#undo")
    assert answer(page) == "7"
    page.route("**/api/read", lambda route: (time.sleep(0.3), route.continue_()))
    draw_with_mouse(page, [[(0.5, 0.9), (0.9, 0.9)]])
    said = page.evaluate("(clear(), document.getElementById('verdict').textContent)")
    assert said == "Nothing yet."
    page.wait_for_timeout(700)
    assert page.locator("#verdict").inner_text() == "Nothing yet."
    page.unroute("**/api/read")
    page.click("#eraser")
    draw_with_mouse(page, [[(0.05, 0.05 + step / 20) for step in range(19)]])
    page.click("#eraser")
    page.click("#clear")
    page.wait_for_selector("body[data-state=answered]")
    assert page.locator("#verdict").inner_text() == "Nothing yet."
    page.locator("#mistakes button").first.press("Enter")
    label, read = re.match(r"(\d), predicted (\d)", page.locator("#mistakes button span").first.inner_text()).groups()
    assert label != answer(page, "looked") == read
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": png(mnist_5k().test[0][0])})
    assert answer(page, "looked") == "0"
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"no image"})
    page.wait_for_selector("#verdict:has-text('not an image')")
    page.click("#clear")
    assert page.locator("#invitation").inner_text() == "Draw here, or drop an image"
    page.focus("#pad")
    for key in [*["ArrowUp"] * 12, "Space", *["ArrowDown"] * 24, "Space"]:
        page.keyboard.press(key)
    assert answer(page) == "1"
    assert page.locator("#verdict").inner_text().startswith("Prediction: 1")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("cursor.isShown")
    sent = page.evaluate("content().then((blob) => blob.arrayBuffer()).then((all) => [...new Uint8Array(all)])")
    assert np.ptp(np.asarray(Image.open(io.BytesIO(bytes(sent))).convert("RGB"), int), axis=2).max() < 20
    assert page.evaluate("cursor.isShown")
