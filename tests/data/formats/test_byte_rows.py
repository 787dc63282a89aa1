"""Tables of bytes are read as NumPy's own reader reads them, or not at all."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnist_exp.data.formats import byte_rows


def read(path, text, width, delimiter=",", has_names=False):
    path.write_bytes(text.encode())
    return byte_rows.read(path, delimiter, width, has_names=has_names)


CELLS = st.one_of(
    st.integers(0, 255).map(str),
    st.integers(0, 255).map(str),
    st.integers(0, 255).map(str),
    st.sampled_from(
        ["007", "256", "999", "1000", "0001", "-1", "+1", "1.0", "1e1", "", " 1", "x", "/", ":", "1 2", "٣"]
    ),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=5),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
)
def test_it_reads_what_numpy_reads_or_nothing(rows, end, last, delimiter, tmp_path):
    text = end.join(delimiter.join(row) for row in rows) + (end if last else "")
    width = len(rows[0])
    found = read(tmp_path / "a.csv", text, width, delimiter)
    if len(rows) > 1 and rows[-1] == [""] and not last:  # The text is that of the other rows with an end of line.
        rows = rows[:-1]
    is_plain = all(len(row) == width and all(_is_byte(cell) for cell in row) for row in rows)
    assert (found is not None) == is_plain
    if is_plain:
        np.testing.assert_array_equal(
            found, np.loadtxt(io.StringIO(text), np.uint8, delimiter=delimiter, comments=None, ndmin=2)
        )


def _is_byte(cell):
    return cell.isascii() and cell.isdigit() and len(cell) <= 3 and int(cell) <= 255


@pytest.mark.parametrize("rows", [1, 700, 5000])
def test_rows_that_lie_across_blocks_are_whole(rows, tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (rows, 785), np.uint8)
    text = "".join(",".join(map(str, row)) + "\n" for row in values.tolist())
    np.testing.assert_array_equal(read(tmp_path / "a.csv", "a,b\n" + text[:-1], 785, has_names=True), values)
    text = text[:-2] + "x"
    assert read(tmp_path / "a.csv", text, 785) is None


def test_nothing_but_names_gives_nothing(tmp_path):
    assert read(tmp_path / "a.csv", "a,b\n", 2, has_names=True) is None
    assert read(tmp_path / "a.csv", "", 2) is None


def test_row_of_too_few_cells_beside_one_of_too_many_is_found(tmp_path):
    assert read(tmp_path / "a.csv", "1,2,3\n1,2\n1,2,3,4\n", 3) is None
