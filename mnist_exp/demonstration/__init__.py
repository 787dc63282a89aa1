"""A local page on which a model is drawn for: the exhibit, the server, the page itself."""
