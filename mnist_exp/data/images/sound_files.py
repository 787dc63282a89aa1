"""The files of a folder that can be read, where the others are left out: for an inspection, which goes on with them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mnist_exp.data import unreadable
from mnist_exp.data.images.files import read_picture
from mnist_exp.data.images.folder import Listing
from mnist_exp.data.lazy import Array
from mnist_exp.errors import DataError
from mnist_exp.runtime import threads


def positions(listing: Listing) -> Array:
    """Return the positions of the images that can be read; all of them where unreadable ones are an error.

    Each is read once for that, by several threads.

    Raises: DataError: there is none.
    """
    if not unreadable.are_left_out():
        return np.arange(len(listing))
    with ThreadPoolExecutor(threads.usable_cpus()) as pool:
        problems = list(pool.map(lambda position: _problem(listing, position), range(len(listing))))
    for problem in filter(None, problems):
        unreadable.leave_out(problem)
    found = np.flatnonzero([problem is None for problem in problems])
    if not len(found):
        raise DataError([problem for problem in problems if problem] or [f"{listing.folder} has no image"])
    return found


def _problem(listing: Listing, position: int) -> str | None:
    try:
        read_picture(listing.path(position), size=None, channels=3, depth=listing.depth)
    except DataError as error:
        return str(error)
    return None
