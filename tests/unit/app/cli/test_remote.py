"""What the commands remember, pack and show before a service is asked."""

from __future__ import annotations

import zipfile
from pathlib import Path
from random import Random

import httpx
import pytest

from app.cli.remote import connection, show
from app.cli.remote.commands import login, models, resolve, shown
from app.cli.remote.connection import Address, known_address, remember
from app.cli.remote.doctor import examine
from app.cli.remote.pack import Counted, packed
from app.core.errors import HeadstartError
from app.infra.database import open_engine
from app.infra.migrate import migrate
from app.infra.settings import Settings
from tests.factories import migrated


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without rows."""
    return migrated(tmp_path_factory.mktemp("database"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HEADSTART_URL", "HEADSTART_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HEADSTART_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def test_a_login_is_its_owners_alone(home: Path) -> None:
    path = remember(Address("http://here:1", "hs_a"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert known_address() == Address("http://here:1", "hs_a")
    remember(Address("http://there:2", "hs_b"))
    assert known_address() == Address("http://there:2", "hs_b")


def test_the_environment_goes_before_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(Address("http://here:1", "hs_a"))
    monkeypatch.setenv("HEADSTART_API_KEY", "hs_c")
    assert known_address() == Address("http://here:1", "hs_c")
    monkeypatch.setenv("HEADSTART_URL", "http://other:3/")
    assert known_address() == Address("http://other:3", "hs_c")


@pytest.mark.parametrize("url", ["http://here:1/v1", "http://here:1/v1/", "http://here:1/"])
def test_a_service_may_be_told_with_its_routes(
    home: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    remember(Address("http://here:1", "hs_a"))
    monkeypatch.setenv("HEADSTART_URL", url)
    assert known_address() == Address("http://here:1", "hs_a")


def test_a_key_is_not_shown_to_another_service(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(Address("http://here:1", "hs_a"))
    monkeypatch.setenv("HEADSTART_URL", "http://other:3")
    assert known_address() is None
    with pytest.raises(HeadstartError, match="no key for http://other:3"), connection.connected():
        pass


def test_a_damaged_login_is_none(home: Path) -> None:
    path = remember(Address("http://here:1", "hs_a"))
    path.write_text("{")
    assert known_address() is None


def test_a_folder_is_packed_without_what_is_hidden(tmp_path: Path) -> None:
    root = tmp_path / "parts"
    for name in ("ok/1.png", "crack/2.png", ".git/x", "ok/.DS_Store", "__MACOSX/ok/1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    with packed(root) as (name, file):
        assert name == "parts.zip"
        with zipfile.ZipFile(file) as archive:
            assert archive.namelist() == ["crack/2.png", "ok/1.png"]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match="no file or folder"), packed(tmp_path / "x"):
        pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(HeadstartError, match="no file in"), packed(tmp_path / "empty"):
        pass


def test_what_is_read_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    path = tmp_path / "a"
    path.write_bytes(b"abcde")
    with path.open("rb") as file:
        counted = Counted(file, told.append)
        assert counted.read(3) + counted.read() == b"abcde"
    assert sum(told) == 5


def test_a_figure_has_its_interval() -> None:
    assert show.figure({"value": 0.876, "low": 0.848, "high": 0.899}) == "87.6% (84.8 to 89.9%)"
    assert show.figure({"value": None, "low": None, "high": None}) == "too few to tell"
    assert show.figure(None) == "too few to tell"


def test_several_labels_are_told_each_or_none() -> None:
    predictions = [
        {"label": "rude", "probability": 0.91},
        {"label": "toxic", "probability": 0.8},
        {"label": "spam", "probability": 0.1},
    ]
    row = {"input": "x", "predictions": predictions, "unknown": False, "label": "rude"}
    assert shown({**row, "labels": ["rude", "toxic"]}, 1)[1:] == ("rude\ntoxic", "91.0%\n80.0%")
    assert str(shown({**row, "labels": []}, 1)[1]) == "no label"
    assert shown(row, 1)[1:] == ("rude", "91.0%")


def test_several_labels_are_headed_by_their_average_precision() -> None:
    figure = {"value": 0.5, "low": 0.4, "high": 0.6}
    judged = {"label_mode": "multi_label", "accuracy": None, "mean_average_precision": figure}
    assert show.headline(judged) == ("mAP", figure)
    assert show.headline({"label_mode": "single_label", "accuracy": figure}) == ("accuracy", figure)


def test_a_model_is_found_by_id_alias_or_name() -> None:
    models = [
        {"id": "ft:2", "aliases": [], "suffix": "parts"},
        {"id": "ft:1", "aliases": ["parts@production"], "suffix": "parts"},
    ]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": models}))
    with httpx.Client(transport=transport, base_url="http://x") as client:
        assert resolve(client, "ft:1")["id"] == "ft:1"
        assert resolve(client, "parts@production")["id"] == "ft:1"
        assert resolve(client, "parts")["id"] == "ft:2", "the newest of that name"
        with pytest.raises(HeadstartError):
            resolve(client, "nothing")


def test_a_doctor_looks_at_everything_whatever_is_wrong(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data/headstart.db").write_bytes(b"this is no database, but long enough to be one")
    found = {one.name: one for one in examine(Settings(data_dir=home / "data"))}
    assert set(found) >= {"disk", "database", "broker", "storage", "weights", "service"}
    assert not found["database"].fine
    assert found["broker"].fine


@pytest.mark.parametrize(
    ("found", "fine", "said"),
    [("0002", False, "headstart prepare"), ("0999", True, "of a later release")],
)
def test_a_doctor_tells_a_former_database_from_a_later_one(
    home: Path, found: str, fine: bool, said: str
) -> None:
    settings = Settings(data_dir=home / "data")
    settings.data_dir.mkdir()
    engine = open_engine(settings.database)
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{found}'")
    engine.dispose()
    (database,) = (one for one in examine(settings) if one.name == "database")
    assert (database.fine, said in database.said) == (fine, True)


@pytest.mark.parametrize(("seed", "begin"), [(1, 0.0), (2, 0.0), (3, 0.0), (4, 0.5), (5, 0.5)])
def test_a_doctor_finds_damage_that_nothing_has_met_yet(
    home: Path, empty_database: Path, seed: int, begin: float
) -> None:
    settings = Settings(data_dir=home / "data")
    settings.data_dir.mkdir()
    damaged = bytearray(empty_database.read_bytes())
    random = Random(seed)
    for _ in range(600):
        damaged[random.randrange(int(begin * len(damaged)), len(damaged))] ^= 0xFF
    (settings.data_dir / "headstart.db").write_bytes(damaged)
    found = {one.name: one for one in examine(settings)}
    assert not found["database"].fine
    assert set(found) >= {"secrets", "storage", "service"}


@pytest.mark.parametrize(
    ("told", "name", "fine"),
    [({"database_url": "postgresql+nonsense://x"}, "database", False),
     ({"broker_url": "memory://"}, "broker", True),
     ({"broker_url": "redis://127.0.0.1:1"}, "broker", False)],
)  # fmt: skip
def test_a_doctor_tells_of_what_is_named_and_is_none(
    home: Path, told: dict[str, str], name: str, fine: bool
) -> None:
    settings = Settings(data_dir=home / "data").model_copy(update=told)
    found = {one.name: one for one in examine(settings)}
    assert found[name].fine is fine
    assert "service" in found, "the rest is looked at"


def test_a_doctor_misses_a_weights_folder_that_is_not_there(home: Path) -> None:
    settings = Settings(data_dir=home / "data", weights_dir=home / "nope")
    found = {one.name: one for one in examine(settings)}
    assert not found["weights"].fine
    assert str(home / "nope") in found["weights"].said


ELSE = [
    httpx.Response(502, text="<html>bad gateway</html>"),
    httpx.Response(503, json="away"),
    httpx.Response(500, json={"detail": [{"msg": "x"}], "errors": ["x", {"code": 1}]}),
    httpx.Response(200, text="<html>sign in</html>", headers={"content-type": "text/html"}),
    httpx.Response(200, json=[]),
    httpx.Response(200, json={"status": "UP", "checks": []}, headers={"date": "today"}),
    httpx.Response(200, content=b"\xff[" * 9),
    httpx.Response(204),
    httpx.Response(302, json={}, headers={"location": "https://sign.in"}),
]
"""What answers where no service does: proxies, pages to sign in, other services."""


@pytest.fixture(params=ELSE, ids=lambda one: f"{one.status_code}-{one.content[:12]!r}")
def something_else(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> httpx.Response:
    """What answers at the address that is remembered, to whatever is asked."""
    told: httpx.Response = request.param

    def answer(asked: httpx.Request) -> httpx.Response:
        return httpx.Response(told.status_code, headers=told.headers, content=told.content)

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr("httpx._client.HTTPTransport", lambda *_, **__: transport)
    remember(Address("http://here:1", "hs_a"))
    return told


def test_a_doctor_tells_what_is_no_service(something_else: httpx.Response, home: Path) -> None:
    found = {one.name: one for one in examine(Settings(data_dir=home / "data"))}
    assert not found["service"].fine
    assert "http://here:1" in found["service"].said


def test_no_command_reads_what_is_no_service(something_else: httpx.Response) -> None:
    with pytest.raises(httpx.ConnectError, match="http://here:1"), connection.connected():
        pass


def test_what_is_no_service_is_refused_behind_one_that_lives_too(
    something_else: httpx.Response,
) -> None:
    """As where a proxy lets the probe through, and asks who comes for all else."""
    with connection.client_of(Address("http://here:1", "hs_a")) as client:
        if something_else.content.startswith(b"{") and something_else.status_code == 200:
            assert "status" in client.get("/v1/models").json(), "an object is read as one"
        else:
            with pytest.raises((httpx.ConnectError, HeadstartError)):
                client.get("/v1/models")


def test_what_is_to_be_kept_is_read_as_it_is(home: Path) -> None:
    kept = httpx.Response(200, content=b"PK", headers={"content-disposition": "attachment"})
    connection.client_of(Address("http://here:1", "hs_a")).event_hooks["response"][0](kept)
    assert kept.content == b"PK"


def test_nobody_signs_in_at_what_is_no_service(something_else: httpx.Response, home: Path) -> None:
    with pytest.raises((httpx.ConnectError, HeadstartError)):
        login(url="http://elsewhere:2", key="hs_b")
    assert known_address() == Address("http://here:1", "hs_a")


@pytest.mark.parametrize("url", ["http://[::1", "http://a\x01b", f"http://{'a' * 300}", "here:1"])
def test_an_address_that_is_none_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HEADSTART_URL", url)
    monkeypatch.setenv("HEADSTART_API_KEY", "hs_a")
    found = {one.name: one for one in examine(Settings(data_dir=home / "data"))}
    assert "none answers" in found["service"].said
    with pytest.raises((httpx.ConnectError, HeadstartError)), connection.connected():
        pass


def test_a_doctor_finds_nothing_wrong_before_the_first_start(home: Path) -> None:
    found = {one.name: one for one in examine(Settings(data_dir=home / "data"))}
    assert found["database"].fine
    assert "headstart up" in found["data folder"].said


def test_what_people_wrote_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["ft:a:default:cl:01", "[red]", "[/b] :cat:", "\x1b[31mred"]
    show.table(("name",), [(name,) for name in names])
    show.strong("model ", "ft:a:default:cl:01", "on [/i] pictures")
    shown = capsys.readouterr().out
    assert [line.strip() for line in shown.splitlines()] == [
        "name",
        *names[:3],
        "\N{REPLACEMENT CHARACTER}[31mred",
        "model ft:a:default:cl:01 on [/i] pictures",
    ]


def test_no_console_reads_markup() -> None:
    for path in Path("app/cli").rglob("*.py"):
        source = path.read_text()
        if path.name != "options.py":
            assert " Console(" not in source, path
        assert "[/]" not in source, path


def test_models_of_several_labels_are_listed_by_their_own_figure(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"suffix": "", "method": "auto", "aliases": [], "accuracy": None}
    listed = [
        {**model, "id": "ft:judged", "label_mode": "multi_label"},
        {**model, "id": "ft:unjudged", "label_mode": "multi_label"},
    ]
    judged = {"mean_average_precision": {"value": 0.97, "low": 0.9, "high": 1.0}}

    def answer(asked: httpx.Request) -> httpx.Response:
        if asked.url.path == "/v1/models":
            return httpx.Response(200, json={"data": listed})
        if "unjudged" in asked.url.path:
            return httpx.Response(404, json={"code": "not_found", "detail": "none"})
        return httpx.Response(
            200, json=judged if "evaluation" in asked.url.path else {"status": "ok"}
        )

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr("httpx._client.HTTPTransport", lambda *_, **__: transport)
    monkeypatch.setattr(show.out, "width", 200)
    remember(Address("http://here:1", "hs_a"))
    models()
    lines = capsys.readouterr().out.splitlines()
    (first,) = [one for one in lines if "ft:judged" in one]
    (second,) = [one for one in lines if "ft:unjudged" in one]
    assert "97.0% (90.0 to 100.0%) mAP" in first
    assert "too few to tell" in second
