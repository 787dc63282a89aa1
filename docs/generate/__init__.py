"""What of the site is made from the code, the configuration and the rest of the repository.

`pages` writes it; each other module makes one kind of text. Nothing here is imported by the package.
"""
