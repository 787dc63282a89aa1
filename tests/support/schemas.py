"""The forms that other programs read, and whether a document holds to one of them."""

import json
from importlib import resources

import jsonschema


def validate(document, name):
    """Raise an error unless a document is as results/schemas/NAME.json says."""
    text = resources.files("mnist_exp.results").joinpath(f"schemas/{name}.json").read_text("utf-8")
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)
