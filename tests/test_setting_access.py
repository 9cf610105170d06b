"""The options that say who may use the proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_openai_proxy.settings import SettingsError, load


@pytest.mark.parametrize("value", ["", "example.com", "http*://*", "gopher://example.com"])
def test_malformed_origins(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract 9.2: an origin without a scheme that browsers send, or with two stars, stops the start."""
    monkeypatch.setenv("OLLAMA_ORIGINS", value)
    with pytest.raises(SettingsError, match="OLLAMA_ORIGINS"):
        load()


def test_origins_are_listed() -> None:
    """Contract 9.2: origins come separated by commas, with spaces around them or not."""
    assert load(ollama_origins="https://a.example, http://b.example").origins == (
        "https://a.example",
        "http://b.example",
    )


def test_a10_null_is_an_origin() -> None:
    """A10: pages without an origin, which browsers call `null`, are let in where they are listed, and only there."""
    assert load(ollama_origins="null, https://a.example").origins == ("null", "https://a.example")
    assert "null" not in load().origins


CANARY = "canary-key-of-a-client"
# What a file may hold, and which keys that is.
FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "one": (b"k1", ("k1",)),
    "one, with its line ended": (b"k1\n", ("k1",)),
    "as on Windows": (b"k1\r\nk2\r\n", ("k1", "k2")),
    "blank lines between": (b"\n k1 \n\n\tk2\n\n", ("k1", "k2")),
    "commas are no separators": (b"a,b\n", ("a,b",)),
}


@pytest.mark.parametrize(("content", "keys"), FILES.values(), ids=FILES.keys())
def test_l6_key_file(tmp_path: Path, content: bytes, keys: tuple[str, ...]) -> None:
    """L6: the file has a key on each line; how lines end is no part of a key."""
    (tmp_path / "keys").write_bytes(content)
    assert load(proxy_api_key_file=tmp_path / "keys").client_keys == keys


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b" \r\n\n", f"{CANARY} x".encode(), f"{CANARY}é".encode(), f"{CANARY}\0".encode(), b"k" * 2**20],
    ids=["empty", "a line", "blank", "a space within", "not ascii", "NUL", "1 MB"],
)
def test_l6_bad_key_file(tmp_path: Path, content: bytes) -> None:
    """L6: a file that holds no key, or what no key can be, is one line with the variable and nothing of it."""
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(SettingsError, match=r"^PROXY_API_KEY_FILE ") as problem:
        load(proxy_api_key_file=tmp_path / "keys")
    assert "\n" not in str(problem.value)
    assert CANARY not in str(problem.value)
    assert len(str(problem.value)) < 200


@pytest.mark.parametrize("name", ["missing", "."])
def test_l6_no_key_file(tmp_path: Path, name: str) -> None:
    """L6: so is a path where nothing is, or a folder."""
    with pytest.raises(SettingsError, match=r"^PROXY_API_KEY_FILE can't be read: "):
        load(proxy_api_key_file=tmp_path / name)


@pytest.mark.parametrize("value", [",", " , ,", f"{CANARY} x", f"{CANARY}é", f"{CANARY}\r\nx", f"a,{CANARY}\tx"])
def test_l6_bad_keys(value: str) -> None:
    """L6: so are keys with characters that no header can carry, and none between commas."""
    with pytest.raises(SettingsError, match=r"^PROXY_API_KEY ") as problem:
        load(proxy_api_key=value)
    assert CANARY not in str(problem.value)


def test_l6_both_ways_to_give_keys(tmp_path: Path) -> None:
    """L6: a key and a file of keys are one too many."""
    (tmp_path / "keys").write_text(CANARY)
    with pytest.raises(SettingsError, match=r"^PROXY_API_KEY and PROXY_API_KEY_FILE are both set"):
        load(proxy_api_key=CANARY, proxy_api_key_file=tmp_path / "keys")


def test_keys_by_comma() -> None:
    """Several keys are separated by commas, with spaces around them or not."""
    assert load(proxy_api_key="a, b,c,").client_keys == ("a", "b", "c")
    assert load().client_keys == ()


def test_m3_keys_are_not_shown(tmp_path: Path) -> None:
    """M3: neither how settings print nor what they make of themselves holds a key."""
    (tmp_path / "keys").write_text(CANARY)
    for loaded in (load(proxy_api_key=CANARY), load(proxy_api_key_file=tmp_path / "keys")):
        assert loaded.client_keys == (CANARY,)
        assert CANARY not in f"{loaded!r} {loaded} {loaded.model_dump()} {loaded.model_dump_json()}"


def test_l15_require_auth() -> None:
    """L15: REQUIRE_AUTH stops a start without keys, with one line that names what to set."""
    with pytest.raises(SettingsError, match=r"^REQUIRE_AUTH .*PROXY_API_KEY") as problem:
        load(require_auth=True)
    assert "\n" not in str(problem.value)
    assert load(require_auth=True, proxy_api_key="k").client_keys == ("k",)


def test_a20_trusted_proxies() -> None:
    """A20: addresses and networks of both families, by commas; nobody by default."""
    trusted = load(trusted_proxies="10.0.0.0/8, 192.0.2.1,fd00::/8").trusted
    assert [str(network) for network in trusted] == ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]
    assert load().trusted == ()


@pytest.mark.parametrize(
    "value", ["", ",", "x", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "*", "proxy.example", "10.0.0.1,x"]
)
def test_a20_malformed_trusted_proxies(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A20: what is neither, or a network that names one of its hosts, stops the start."""
    monkeypatch.setenv("TRUSTED_PROXIES", value)
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        load()
