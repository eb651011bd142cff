"""What messages show of addresses."""

from __future__ import annotations

import pytest

from genas.pipeline.machine.addresses import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no server at https://me:secret@host:5000/api, alas", "no server at https://***@host:5000/api, alas"),
        ("postgresql+psycopg2://me:se/cr@et@host/db", "postgresql+psycopg2://***@host/db"),
        ("https://secret@host and s3://key:secret@bucket", "https://***@host and s3://***@bucket"),
        ("https://host/?user=me&password=secret&x=1", "https://host/?user=me&password=***&x=1"),
        ("https://host/?api_key=secret", "https://host/?api_key=***"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
        ("no route to me:secret@host:80", "no route to ***@host:80"),
        ("mail me@host", "mail me@host"),
    ],
)
def test_no_message_tells_a_password(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(ValueError(text)) == shown
