"""Which function a net's answer comes from."""

from __future__ import annotations

import pytest

from commands.answers import last_function

NET = [("Convolution", ["data"], ["c"]), ("InnerProduct", ["c"], ["fc"])]
AUX = [("InnerProduct", ["c"], ["aux"]), ("Silence", ["aux"], [])]


@pytest.mark.parametrize(
    ("rest", "blob", "kind"),
    [
        ([], "fc", "InnerProduct"),
        ([("Softmax", ["fc"], ["p"])], "p", "Softmax"),
        ([("Softmax", ["fc"], ["fc"])], "fc", "Softmax"),
        ([("Softmax", ["fc"], ["p"]), ("Flatten", ["p"], ["q"]), ("Dropout", ["q"], ["q"])], "q", "Softmax"),
        # what comes later in the definition, and is no answer
        ([("Softmax", ["fc"], ["p"]), *AUX], "p", "Softmax"),
        ([("Softmax", ["c"], ["other"])], "fc", "InnerProduct"),
    ],
)  # fmt: skip
def test_the_last_function_of_the_answer(
    rest: list[tuple[str, list[str], list[str]]], blob: str, kind: str
) -> None:
    assert last_function([*NET, *rest], blob) == kind
