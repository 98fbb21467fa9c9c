"""The couriers file: what is wrong in it is said with where, before anything starts (W6)."""

from pathlib import Path

import pytest

from services.warehouse.couriers_file import CouriersFileError, load_couriers

SF = """
[[courier]]
code = "sf"
name = "顺丰速运"
delivery_methods = ["courier"]
max_weight_grams = 30000
number_prefix = "SF"
number_last = 999
areas = [{ country = "CN" }]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "couriers.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.requirement("W6")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[courier]", "is not TOML"),
        ("", "describes no courier; add a table"),
        ("courier = 3", "describes no courier; add a table"),
        ("[[couriers]]\ncode = 'sf'", "nobody knows what couriers means; take sender and"),
        (f"sender = 3\n{SF}", "sender: Input should be a valid string"),
        (f"sender = {'x' * 121!r}\n{SF}", "sender: a label has room for 120 characters, not 121"),
        (
            SF.replace('country = "CN"', 'country = "China"'),
            "courier 1, areas[0].country: String should match",
        ),
        (SF.replace("30000", "-1"), "courier 1, max_weight_grams: Input should be greater than 0"),
        (SF.replace("name", "nome"), "courier 1, name: Field required"),
        (SF + "colour = 'red'", "courier 1, colour: Extra inputs are not permitted"),
        (
            SF + "number_first = 1000",
            "courier 1, as a whole: Value error, number_first to number_last must be",
        ),
        (SF + SF, "two couriers have the same code"),
        (SF + SF.replace('"sf"', '"sf2"'), "two couriers have the same number_prefix"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(CouriersFileError) as wrong:
        load_couriers(file)
    assert str(wrong.value).startswith(str(file))
    assert told in str(wrong.value)


@pytest.mark.requirement("W6")
def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CouriersFileError, match="cannot be read: No such file"):
        load_couriers(tmp_path / "none.toml")


@pytest.mark.requirement("W5")
def test_the_sender_on_labels_stands_above_the_couriers(tmp_path: Path) -> None:
    assert load_couriers(written(tmp_path, SF)).sender == ""
    assert load_couriers(written(tmp_path, f"sender = ' 茶舍, 杭州 '\n{SF}")).sender == "茶舍, 杭州"
