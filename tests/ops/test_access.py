"""Commands find a running system by themselves: the containers of `.env`, the stack of `make up`, or what is set."""

from importlib.metadata import version
from pathlib import Path
from unittest.mock import Mock

import pytest
import typer
from typer.testing import CliRunner

from deploy import access
from deploy.cli import app
from deploy.embedded.keys import Keys
from deploy.embedded.lock import held, only_one
from shared.runtime.auth import Tokens, new_key_pair

pytestmark = pytest.mark.requirement("X6")

COMMANDS = (
    ["up"],
    ["doctor"],
    ["token", "create", "--as", "system", "--name", "shop"],
    ["log", "verify"],
    ["parked", "list", "--service", "orders"],
)
"""All that read what a stack keeps in its folder."""


def all_say(end: str) -> None:
    """Each of them fails, and says so."""
    for command in COMMANDS:
        answer = CliRunner().invoke(app, command)
        assert answer.exit_code in (1, 2), command
        assert answer.output.endswith(end), command


NAMES = ("ORDERS_PORT", "ORDERS_URL", "ORDERS_PASSWORD", "ORDERS_DATABASE_URL", "POSTGRES_PORT", "TOKEN",
         "TOKEN_PRIVATE_KEY", "DATA_DIR")  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and nothing set."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(f"HANDOVER_{name}", raising=False)
    return tmp_path


def containers(folder: Path) -> None:
    lines = ("ORDERS_PORT=9101", "POSTGRES_PORT=9432", "ORDERS_PASSWORD=secret", "TOKEN_PRIVATE_KEY=theirs")
    (folder / ".env").write_text("\n".join(f"HANDOVER_{line}" for line in lines))


def test_the_containers_are_reached_with_what_env_says(folder: Path):
    containers(folder)
    assert access.service_url("orders") == "http://127.0.0.1:9101"
    assert access.service_url("warehouse") == "http://127.0.0.1:8102"
    assert access.database_url("orders") == (
        "postgresql://handover_orders:secret@127.0.0.1:9432/handover_orders"
    )
    assert access.private_key() == "theirs"


def test_what_is_set_counts_before_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch):
    containers(folder)
    monkeypatch.setenv("HANDOVER_ORDERS_URL", "https://orders.example.org")
    monkeypatch.setenv("HANDOVER_TOKEN_PRIVATE_KEY", "ours")
    assert access.service_url("orders") == "https://orders.example.org"
    assert access.private_key() == "ours"


def test_a_stack_that_runs_in_this_folder_is_meant_although_there_is_an_env_file(folder: Path):
    containers(folder)
    keys = Keys.of(folder_of_up := _folder(folder / ".handover"))
    assert access.private_key() == "theirs"
    with only_one(folder_of_up):
        assert access.private_key() == keys.token_private_key
        assert access.service_url("orders") == "http://127.0.0.1:8101"


def test_the_folder_of_the_stack_may_have_another_name(folder: Path, monkeypatch: pytest.MonkeyPatch):
    keys = Keys.of(_folder(folder / "elsewhere"))
    monkeypatch.setenv("HANDOVER_DATA_DIR", str(folder / "elsewhere"))
    assert access.private_key() == keys.token_private_key


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [("URL", "foo", "it must be an address such as http://127.0.0.1:8101."),
     ("URL", "http://", "it must be an address such as http://127.0.0.1:8101."),
     ("URL", "http://host:abc", "it must be an address such as http://127.0.0.1:8101."),
     ("PORT", "abc", "it must be a whole number from 1 to 65535."),
     ("PORT", "0", "it must be a whole number from 1 to 65535."),
     ("PORT", "99999", "it must be a whole number from 1 to 65535.")],
)  # fmt: skip
def test_a_setting_that_is_no_address_is_what_is_said_to_be_wrong(
    name: str, value: str, rule: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(f"HANDOVER_ORDERS_{name}", value)
    with pytest.raises(typer.Exit):
        access.service_url("orders")
    assert capsys.readouterr().err == f"The setting HANDOVER_ORDERS_{name} is wrong: {rule}\n"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [("ORDERS_DATABASE_URL", "orders", "it must begin with postgresql://."),
     ("ORDERS_DATABASE_URL", "postgresql://u:s3c/ret@db:5432/x",
      "it must have a number for its port; / : @ ? # in a password are written %2F %3A %40 %3F %23."),
     ("POSTGRES_PORT", "25432x", "it must be a whole number from 1 to 65535.")],
)  # fmt: skip
def test_a_setting_that_names_no_database_is_said_to_be_wrong_without_its_value(
    name: str, value: str, rule: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HANDOVER_ORDERS_PASSWORD", "x")
    monkeypatch.setenv(f"HANDOVER_{name}", value)
    for command in ("verify", "republish"):
        answer = CliRunner().invoke(app, ["log", command, "--service", "orders"])
        assert (answer.exit_code, answer.output) == (2, f"The setting HANDOVER_{name} is wrong: {rule}\n")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"token_private_key": 3}', "\udcff"])
def test_keys_that_are_broken_are_named_with_what_to_do(folder: Path, text: str):
    keys = Keys.of(_folder(folder / ".handover"))
    (folder / ".handover" / "keys.json").write_bytes(text.encode(errors="surrogateescape"))
    all_say(
        ".handover/keys.json does not hold the keys that were made there: put them back. If they are lost, remove the "
        "file: the next start makes new ones, and tokens that were made until then count no more.\n"
    )
    (folder / ".handover" / "keys.json").unlink()
    assert Keys.of(folder / ".handover") != keys


def test_keys_of_somebody_else_are_named_with_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch):
    closed = Mock(side_effect=PermissionError(13, "Permission denied"))  # root may read everything
    monkeypatch.setattr(Path, "read_bytes", closed)
    all_say(
        ".handover/keys.json cannot be read (Permission denied): be the user whose stack it is, or choose another folder "
        "with HANDOVER_DATA_DIR.\n"
    )


def test_a_folder_that_is_closed_to_us_is_taken_to_be_somebodys(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    assert not held(folder)
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert held(folder)


@pytest.mark.parametrize(
    ("where", "why"), [("file", "it is a file"), ("file/x", "Not a directory")]
)  # fmt: skip
def test_data_that_cannot_be_kept_somewhere_are_a_sentence(
    folder: Path, where: str, why: str, monkeypatch: pytest.MonkeyPatch
):
    (folder / "file").touch()
    monkeypatch.setenv("HANDOVER_DATA_DIR", where)
    answer = CliRunner().invoke(app, ["up"])
    assert answer.exit_code == 1
    assert answer.output == (
        f"Data cannot be kept in {where} ({why}): choose another folder with HANDOVER_DATA_DIR.\n"
    )
    assert CliRunner().invoke(app, ["log", "verify"]).output.startswith("Set HANDOVER_ORDERS_DATABASE_URL")


def test_who_has_neither_token_nor_key_is_told_of_what_would_do(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit):
        access.administrator_token()
    said = capsys.readouterr().err
    assert said.startswith("Set HANDOVER_TOKEN to an administrator's token or HANDOVER_TOKEN_PRIVATE_KEY to")
    with pytest.raises(typer.Exit):
        access.private_key()  # a token makes no other
    assert capsys.readouterr().err.startswith("Set HANDOVER_TOKEN_PRIVATE_KEY, or run this where")


def test_a_key_that_is_none_is_said_to_be_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("HANDOVER_TOKEN_PRIVATE_KEY", "s3cret")
    with pytest.raises(typer.Exit):
        access.administrator_token()
    said = capsys.readouterr().err
    assert said.startswith("The setting HANDOVER_TOKEN_PRIVATE_KEY is wrong: a token key is 32 bytes")
    assert "s3cret" not in said


def test_a_user_whose_name_is_no_code_makes_a_token_as_ops(monkeypatch: pytest.MonkeyPatch):
    private, public = new_key_pair()
    monkeypatch.setenv("HANDOVER_TOKEN_PRIVATE_KEY", private)
    monkeypatch.setenv("USER", "CORP\\li wei")
    token = {"authorization": f"Bearer {access.administrator_token()}"}
    assert Tokens(public).actor_of_headers(token).name == "ops"


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def make_token(*arguments: str) -> tuple[int, str, str]:
    answer = CliRunner().invoke(app, ["token", "create", *arguments])
    return answer.exit_code, answer.stdout, answer.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--as", "scanner", "--name", "li"), "--as: it must be operator, device or system."),
        (("--as", "timer", "--name", "li"), "--as: it must be operator, device or system."),
        (("--as", "operator", "--name", "li", "--role", "boss"),
         "--role: it must be ordinary, back-office or administrator."),
        (("--as", "operator", "--name", "li wei"),
         "--name: only letters, digits and . : @ / + - _ without spaces; the first is a letter, a digit or _"),
        (("--as", "operator", "--name", "li", "--device", "x" * 101), "--device: it needs 1 to 100 characters"),
    ],
)  # fmt: skip
def test_a_token_that_cannot_be_made_says_what_is_allowed(
    arguments: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HANDOVER_TOKEN_PRIVATE_KEY", new_key_pair()[0])
    assert make_token(*arguments) == (2, "", f"{sentence}\n")


def test_an_operator_without_a_device_is_told_that_scans_need_one(monkeypatch: pytest.MonkeyPatch):
    private, public = new_key_pair()
    monkeypatch.setenv("HANDOVER_TOKEN_PRIVATE_KEY", private)
    code, made, said = make_token("--as", "operator", "--name", "li.wei")
    assert code == 0
    assert Tokens(public).verify(made.strip()).name == "li.wei"
    assert "scans: those need the --device" in said
    for others in (("--as", "operator", "--device", "scanner-07"), ("--as", "system")):
        assert make_token(*others, "--name", "li.wei")[2] == ""


def test_the_command_line_says_its_version_and_in_an_image_that_of_the_build(monkeypatch: pytest.MonkeyPatch):
    answer = CliRunner().invoke(app, ["--version"])
    assert (answer.exit_code, answer.output) == (0, f"handover {version('handover')}\n")
    monkeypatch.setenv("HANDOVER_VERSION", "v7-3-gabc")
    assert CliRunner().invoke(app, ["--version"]).output == "handover v7-3-gabc\n"


def test_a_database_that_cannot_be_reached_keeps_no_other_log_from_being_verified(
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("ORDERS", "WAREHOUSE", "AFTERSALES", "NOTIFY"):
        monkeypatch.setenv(f"HANDOVER_{name}_DATABASE_URL", "postgresql://u:p@127.0.0.1:1/x")
    answer = CliRunner().invoke(app, ["log", "verify"])
    assert answer.exit_code == 2
    assert [line.split()[3] for line in answer.output.splitlines()] == [
        "orders",
        "warehouse",
        "aftersales",
        "notify",
    ]
