"""Images in files: one of them as pixels, a folder with its classes, sets and tables, all of it as a `Source`."""
