"""What is a secret is hidden, what is none stays."""

import pytest

from mnist_exp.redaction import redact, redact_config


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:SECRET@host/db",
        "http://me:p@SECRET@host",
        "'tracking.uri=http\\://me\\:SECRET@host'",  # as Hydra writes it
        "data.token=SECRET",
        "password: SECRET",
        'PASSWORD = "SECRET of two words"',
        "'api_key': 'SECRET'",
        "AWS_SECRET_ACCESS_KEY=SECRET",
        "Authorization: Bearer SECRET",
        "hf_SECRETSECRETSECRET",
    ],
)
def test_secrets_are_hidden(text):
    assert "SECRET" not in redact(text).replace("AWS_SECRET_ACCESS_KEY", "")


@pytest.mark.parametrize(
    "text", ["num_tokens: 5", "tokens = tokenize(x)", "https://host/path?x=1", "model.dropout=0.5", "optimizer=adam"]
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_configuration_is_redacted_by_name_and_value():
    config = {"data": {"token": "abc", "num_tokens": 5, "mirrors": ["https://u:abc@h/x"]}, "seed": 7}
    assert redact_config(config) == {
        "data": {"token": "***", "num_tokens": 5, "mirrors": ["https://***@h/x"]},
        "seed": 7,
    }
