"""`probe` reads the settings without settings.py, and must read the same."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.probe import where
from ollama_openai_proxy.settings import Settings, SettingsError, load

HOSTS_GIVEN = [
    *("1.2.3.4", "1.2.3.4:", "1.2.3.4:1234", "example.com", "example.com:1234", ":1234", "localhost", "http://1.2.3.4"),
    *(
        "http://",
        "https://",
        "://",
        "x://1.2.3.4",
        "https://1.2.3.4",
        "http://1.2.3.4:8080",
        "https://example.com/ollama",
    ),
    *("http://example.com:81/a/b:c", "[::1]", "::1", "[::1]:1337", "[::]", "::", "[::]:80", "http://[::1]", "[::1]:"),
    *(
        "fe80::1%eth0",
        "[fe80::1%eth0]:1",
        "example.com/",
        " 1.2.3.4 ",
        '"1.2.3.4"',
        "'1.2.3.4:1'",
        "\"'1.2.3.4'\"",
        "/",
    ),
    *("[]", "[", "]:1", "[::1", "a:b", "a:+1", "a:1_0", "a:-1", ":66000", ":abc", ":65535", ": 80", "a: 80", ":80 "),
    *("", " ", "''", "' '", "user:secret@example.com", "user@example.com:1", "é.example", "a:٨٠", "0", "http://:1/"),
]


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor a `.env` of whoever runs the tests counts."""
    for name in os.environ:
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def read() -> tuple[str, int] | str:
    """What `probe` makes of the environment and `.env`, or the setting that it refuses."""
    dotenv = Path(".env").read_text(encoding="utf-8") if Path(".env").exists() else ""
    try:
        return where(dict(os.environ), dotenv)
    except ValueError as error:
        return str(error).partition(" ")[0]


def expected() -> tuple[str, int] | str:
    """What settings.py makes of them."""
    try:
        loaded = load()
    except SettingsError as error:
        return str(error).partition(" ")[0]
    return loaded.host, loaded.port


@pytest.mark.parametrize("value", HOSTS_GIVEN)
@pytest.mark.parametrize("name", ["OLLAMA_HOST", "PROXY_HOST"])
def test_host(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Contract 9.2: a host is read from either variable as the proxy reads it, and refused if it refuses it."""
    monkeypatch.setenv(name, value)
    assert read() == expected()


@pytest.mark.parametrize(
    "value", ["1", "80", " 80 ", "'80'", "+80", "080", "8_0", "80.0", "65535", "65536", "-1", "http", "", "' '"]
)
def test_port(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """So is a port, which counts for more than that of OLLAMA_HOST."""
    monkeypatch.setenv("OLLAMA_HOST", "1.2.3.4:5")
    monkeypatch.setenv("PROXY_PORT", value)
    assert read() == expected()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PROXY_HOST": "::", "PROXY_PORT": "1", "OLLAMA_HOST": "1.2.3.4:5"},
        {"PROXY_HOST": "::", "OLLAMA_HOST": "1.2.3.4:5"},
        {"PROXY_HOST": "1.2.3.4:5"},
        {"Proxy_Host": "1.2.3.4", "proxy_port": "1"},
        {"proxy_port": "1", "PROXY_PORT": "2", "Proxy_port": "3"},
        {"PROXY_PORT": "2", "proxy_port": "1"},
        {"PORT": "1", "HOST": "1.2.3.4", "XPROXY_PORT": "1"},
    ],
    ids=lambda variables: " ".join(variables) or "none",
)
def test_variables(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """The names count in any case, and the proxy's own before Ollama's."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert read() == expected()


DOTENV = [
    "PROXY_HOST=1.2.3.4",
    "PROXY_HOST=1.2.3.4\nPROXY_PORT=5\n",
    "# a comment\n\n  PROXY_HOST = 1.2.3.4  # here\r\n\texport\tPROXY_PORT=\t'5' # there\n",
    "OLLAMA_HOST=http://1.2.3.4#5\n",
    "OLLAMA_HOST='1.2.3.4:5'#6\nPROXY_PORT",
    'OLLAMA_HOST="1.2.3.4:5',
    "OLLAMA_HOST='1.2.3.4:5' 6",
    "'PROXY_HOST'='1.2.3.4'\n\"PROXY_PORT\"=5",
    'PROXY_HOST="a\\tb\\"c\\\\d\\e"\nPROXY_PORT=\'5\'',
    "PROXY_HOST='a\\tb\\'c\\\\d\\e'",
    "PROXY_HOST=a\\tb'c' 'd",
    'PROXY_HOST="1.2.3.4\n  "\nPROXY_PORT=5',
    "PROXY_PORT=1\nproxy_port=2\nPROXY_PORT=3",
    "proxy_port=1\nPROXY_PORT=2",
    "PROXY_PORT=1\nPROXY_PORT",
    "PROXY_PORT=\n",
    "PROXY_PORT=''\n",
    "export=1\nexport PROXY_PORT=1\nexport\nexport =3",
    "A=1\nPROXY_PORT=${A}${B:-2}${C}${PROXY_PORT}\n",
    "PROXY_HOST=${GIVEN}\nPROXY_PORT=${GIVEN_PORT:-5}",
    "PROXY_HOST='${GIVEN:x}'",
    "=1\nPROXY_PORT=5\n'A\nB'=6\n''=7\nPROXY_HOST=b",
    "OPENAI_API_BASE_URL=http://1.2.3.4:5\n",
    "PROXY_HOST\n=5\nPROXY_PORT 5",
    "'PROXY_PORT=5\n",
]


@pytest.mark.parametrize("dotenv", DOTENV)
@pytest.mark.parametrize("given", [{}, {"proxy_port": "6"}], ids=["none", "port"])
def test_dotenv(monkeypatch: pytest.MonkeyPatch, dotenv: str, given: dict[str, str]) -> None:
    """What the environment does not give comes from `.env`, quoted and commented as in a shell."""
    for name, value in {"GIVEN": "example.com", **given}.items():
        monkeypatch.setenv(name, value)
    Path(".env").write_text(dotenv, encoding="utf-8", newline="")
    assert read() == expected()


PIECES = ["PROXY_HOST", "proxy_host", "=", "=", "\n", "\n", " ", "\t", "'", '"', "#", "\\", "a", "n", "é", "\u3000"]
PIECES += ["export ", "${PROXY_HOST}", "${proxy_host:-x}", "${A", "}", "\x0b", "${B:y}"]


@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_dotenv(text: str) -> None:
    """Whatever stands in `.env`, it is read as the proxy reads it."""
    Path(".env").write_text(text, encoding="utf-8")
    assert read() == expected()


HOSTS = st.text(st.sampled_from("01.:[]/ab\"' @%-_+é٨"), max_size=12) | st.text(max_size=12)
SCHEMES = st.sampled_from(["", "", "http://", "https://", "HTTP://", "x://"])


@given(st.builds(str.__add__, SCHEMES, HOSTS))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_host(value: str) -> None:
    """Contract 9.2: so is whatever OLLAMA_HOST holds."""
    try:
        loaded = load(ollama_host=value)
    except SettingsError:
        with pytest.raises(ValueError, match="OLLAMA_HOST"):
            where({"OLLAMA_HOST": value})
        return
    if loaded.port:
        assert where({"OLLAMA_HOST": value}) == (loaded.host, loaded.port)
    else:  # nobody knows what was free
        with pytest.raises(ValueError, match=r"^the port is 0"):
            where({"OLLAMA_HOST": value})
