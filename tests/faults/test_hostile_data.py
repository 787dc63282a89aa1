"""Hostile data files: none runs code, fills the memory, hangs, or raises anything but a DataError."""

import contextlib
import gzip
import io
import os
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mnist_exp.data.dataset import SPLITS
from mnist_exp.data.formats.idx import read_idx
from mnist_exp.data.formats.npz import read_npz
from mnist_exp.data.images.files import MAX_PIXELS, SUFFIXES, read_image
from mnist_exp.data.images.folder import list_folder, read_folder
from mnist_exp.errors import DataError


class Evil:
    def __reduce__(self):
        return os.system, ("touch PROOF",)


@pytest.fixture(autouse=True)
def little_memory():
    """Limit this process to 2 GB more than it has now, so that larger allocations fail on any machine."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2_000_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
    assert not Path("PROOF").exists()


def arrays(**change):
    good = {"x_train": np.zeros((20, 4, 4), np.uint8), "y_train": np.arange(20) % 2}
    return good | {"x_test": good["x_train"], "y_test": good["y_train"]} | change


def npy(shape, descr="'|u1'", content=b"", version=1):
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(head) + 1)
    return b"\x93NUMPY" + bytes([version, 0]) + size + head + b"\n" + content


def write_npz(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return Path(path)


def refused_npz(path, *words):
    with pytest.raises(DataError) as error:
        read_npz(path)
    for word in (str(path), *words):
        assert word in str(error.value)


@pytest.mark.parametrize("name", [*SPLITS, "class_names"])
def test_pickles_in_an_npz_never_run(name):
    np.savez("p.npz", **arrays(**{name: np.array([Evil()], object)}))
    refused_npz(Path("p.npz"), "Python objects")
    pickled = io.BytesIO()
    np.save(pickled, np.array([Evil()], object))
    content = pickled.getvalue()
    for claimed in (b"'|u1'", b"'<U9'", b"'|V8'"):
        members = {split: npy("(0,)") for split in SPLITS} | {name: content.replace(b"'|O'", claimed)}
        with contextlib.suppress(DataError):
            read_npz(write_npz("p.npz", members))  # Numbers now, whatever they say.


def test_bare_pickles_never_run():
    import pickle

    for name in ("p.npz", "p.npy", "p.pkl"):
        Path(name).write_bytes(pickle.dumps(Evil()))
        refused_npz(Path(name), "npz")
    np.save("single.npy", np.array([Evil()], object))
    refused_npz(Path("single.npy"), "npz")


@pytest.mark.parametrize(
    "shape", ["(1000000000000,)", "(1000000, 1000000)", "(4611686018427387904, 4)", "(-1,)", "(3.5,)"]
)
@pytest.mark.parametrize("descr", ["'|u1'", "'<f8'", "'<U100000000'", "[('a', '<f8', (1000, 1000))]"])
def test_npz_with_huge_shape_allocates_nothing(shape, descr):
    for version in (1, 2, 3):
        members = {split: npy("(1,)", content=b"x") for split in SPLITS}
        members["x_test"] = npy(shape, descr, b"x" * 100, version)
        refused_npz(write_npz("big.npz", members))


@pytest.mark.parametrize(
    "header", ["(" * 5000, "[" * 5000 + "]" * 5000, "-" * 5000 + "1", "'" + "a" * 9000 + "'", "{}" * 3]
)
def test_npz_with_a_malformed_header_is_a_data_error(header):
    refused_npz(write_npz("odd.npz", {split: npy(header) for split in SPLITS}))


def test_npz_larger_than_memory_is_refused(monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 50_000_000})())
    bomb = npy("(100000000,)", content=bytes(100_000_000))
    path = write_npz("bomb.npz", {split: npy("(0,)") for split in SPLITS} | {"x_train": bomb}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    refused_npz(path, "of memory")


def test_npz_with_a_wrong_size_is_read_no_further():
    bomb = npy("(100000000,)", content=bytes(100_000_000))
    path = write_npz("lie.npz", {split: npy("(0,)") for split in SPLITS} | {"x_train": bomb}, zipfile.ZIP_DEFLATED)
    content = path.read_bytes().replace(struct.pack("<I", len(bomb)), struct.pack("<I", 500))
    path.write_bytes(content)
    refused_npz(path)


def idx(*sizes, content=b"", kind=8):
    return struct.pack(f">HBB{len(sizes)}I", 0, kind, len(sizes), *sizes) + content


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (10**9, 1000, 1000), (2**32 - 1,), (70_000, 28, 28)])
def test_idx_files_with_huge_sizes_allocate_nothing(pack, sizes):
    path = Path("big-idx")
    path.write_bytes(pack(idx(*sizes, content=bytes(100))))
    with pytest.raises(DataError, match=r"would take|should hold|cannot be read"):
        read_idx(path)


def test_gzip_bombs_are_read_only_to_their_stated_size():
    """10 GB of zeros in 10 MB: reading all of it would take a minute and exceed the memory limit."""
    path = Path("bomb.gz")
    squeezed = zlib.compressobj(1, wbits=31)
    with path.open("wb") as file:
        file.write(squeezed.compress(idx(10, 28, 28)))
        block = bytes(10_000_000)
        for _ in range(100):
            file.write(squeezed.compress(block))
        file.write(squeezed.flush())
    with pytest.raises(DataError, match="7,840 bytes after its header, but has more"):
        read_idx(path)


def png(width, height, *chunks, pixels=b"\0\0"):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [
        chunk(b"IHDR", head),
        *(chunk(*c) for c in chunks),
        chunk(b"IDAT", zlib.compress(pixels)),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(width, height):
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 4, height),
        (279, 4, 1),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def giants():
    text = zlib.compress(bytes(100_000_000))
    yield "png", png(100_000, 100_000)
    yield "png", png(2**31 - 1, 2**31 - 1)
    yield "png", png(8000, 8000)
    yield "png", png(1, 1, (b"zTXt", b"key\0\0" + text))
    yield "png", png(1, 1, (b"iTXt", b"key\0\1\0\0\0" + text))
    yield "png", png(1, 1, (b"iCCP", b"key\0\0" + text))
    yield "gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;"
    yield "gif", b"GIF89a" + struct.pack("<HH", 1, 1) + b"\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;"
    yield "tif", tiff(100_000, 100_000)
    yield "tif", tiff(2**32 - 1, 2**32 - 1)
    yield "bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 2**30, 2**30, 1, 8, 0, 0, 0, 0, 0, 0)
    yield "pgm", b"P5 99999999 99999999 255\n"
    yield "pgm", b"P2 " + b"9" * 4000 + b" 1 255\n"
    yield (
        "webp",
        b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xff\xff\0" * 2,
    )


@pytest.mark.parametrize(("suffix", "content"), list(giants()))
def test_images_that_would_fill_the_memory_are_refused(suffix, content):
    path = Path(f"giant.{suffix}")
    path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        read_image(path, size=(28, 28), channels=1)


def test_png_of_zeros_is_read_only_up_to_the_limit():
    path = Path("zeros.png")
    path.write_bytes(png(7000, 7000, pixels=bytes(7001) * 7000))
    assert path.stat().st_size < 100_000
    assert read_image(path, size=(28, 28), channels=1).shape == (28, 28, 1)
    path.write_bytes(png(7000, MAX_PIXELS // 7000 + 1, pixels=b""))
    with pytest.raises(DataError, match="at most 50,000,000"):
        read_image(path, size=(28, 28), channels=1)


def test_too_large_folder_is_refused_after_its_first_image(monkeypatch):
    import psutil

    for name in ("a", "b"):
        Path(name).mkdir()
        for number in range(5):
            (Path(name) / f"{number}.png").write_bytes(png(1000, 1000, pixels=bytes(1001) * 1000))
    assert read_folder(list_folder(Path.cwd()), size=None, channels=1)[0].shape == (10, 1000, 1000, 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 9_000_000})())
    with pytest.raises(DataError, match="would take 10,000,000 bytes"):
        read_folder(list_folder(Path.cwd()), size=None, channels=1)


NO_IMAGES = {
    "text": b"this is a text",
    "nothing": b"",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "pdf": b"%PDF-1.4\n1 0 obj<<>>endobj\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(PROOF) (w) file closefile showpage\n",
    "dos eps": b"\xc5\xd0\xd3\xc6" + bytes(40) + b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "wmf": b"\xd7\xcd\xc6\x9a\x00\x00" + bytes(40),
    "psd": b"8BPS\0\1" + bytes(30),
    "icns": b"icns" + bytes(30),
    "zip": b"PK\x03\x04" + bytes(30),
    "pickle": b"\x80\x04cos\nsystem\n(S'touch PROOF'\ntR.",
    "xpm": b"/* XPM */\nstatic char * x[] = {",
    "fits": b"SIMPLE  =                    T" + bytes(100),
}


@pytest.mark.parametrize("name", NO_IMAGES)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_only_real_images_are_read_whatever_their_names(name, suffix):
    path = Path(f"a{suffix}")
    path.write_bytes(NO_IMAGES[name])
    with pytest.raises(DataError, match="not an image"):
        read_image(path, size=None, channels=1)


def test_postscript_never_reaches_its_interpreter():
    """A real EPS file by Pillow, and a fake interpreter that leaves a file when it is started."""
    Image.new("L", (9, 9)).save("a.eps")
    Path("a.eps").rename("a.png")
    Path("gs").write_text("#!/bin/sh\ntouch PROOF\n")
    Path("gs").chmod(0o755)
    script = (
        "import sys; from pathlib import Path; from mnist_exp.data.images.files import read_image\n"
        "try: read_image(Path('a.png'), size=None, channels=1)\n"
        "except Exception as error: print(type(error).__name__)"
    )
    path = f"{Path.cwd()}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    assert done.stdout == "DataError\n", done.stderr


def test_pipes_and_devices_are_not_opened():
    """Reading a named pipe would wait for ever; reading a device would never end."""
    for name in ("a", "b"):
        Path(name).mkdir()
        Image.new("L", (4, 4)).save(f"{name}/0.png")
    os.mkfifo("a/1.png")
    Path("a/2.png").symlink_to("/dev/zero")
    Path("b/3.png").mkdir()
    Path("b/4.png").symlink_to("nowhere")
    with pytest.raises(DataError) as error:
        read_folder(list_folder(Path.cwd()), size=None, channels=1)
    assert [problem.rpartition("/")[2] for problem in error.value.problems] == [
        "1.png is no file",
        "2.png is no file",
        "4.png is no file",  # 3.png is a folder, which holds none.
    ]


@pytest.mark.parametrize("suffix", sorted(SUFFIXES - {".jpeg", ".tiff"}))
def test_images_with_wrong_bytes_are_read_or_refused(suffix, digits):
    whole = Path(f"whole{suffix}")
    options = {"exif": Image.Exif()} if suffix in (".png", ".jpg", ".webp") else {}
    picture = Image.fromarray(digits[0][0][0])
    if suffix == ".png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("key", "value" * 100, zip=True)
    picture.convert("RGB" if suffix in (".webp", ".ppm") else "L").save(whole, **options)
    content, rng, path = whole.read_bytes(), np.random.default_rng(0), Path(f"broken{suffix}")
    for round_ in range(150):
        changed = bytearray(content if round_ % 5 else content[: rng.integers(1, len(content))])
        reach = len(changed) if round_ % 2 else min(len(changed), 64)  # Headers matter most.
        for position in rng.integers(0, reach, rng.integers(1, 4)):
            changed[position] = rng.integers(256)
        path.write_bytes(bytes(changed))
        try:
            assert read_image(path, size=(28, 28), channels=1).shape == (28, 28, 1)
        except DataError as error:
            assert str(path) in str(error)
