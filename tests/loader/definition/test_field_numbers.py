"""Field numbers beside names: each field has one."""

from __future__ import annotations

from decant.loader.definition.field_numbers import BY_NUMBER
from decant.loader.definition.schema import FIELDS


def test_every_field_of_the_schema_has_one_number() -> None:
    for message, fields in FIELDS.items():
        named = [name for name, _ in BY_NUMBER[message].values()]
        assert set(fields) <= set(named), message
        assert len(named) - named.count("resize_param") <= len(fields)
