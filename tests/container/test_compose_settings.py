"""How settings get into the containers of the Compose files: G21, and what D11, D24, D25, P7 and P8 tell to avoid."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from ollama_openai_proxy.settings import Settings
from support.compose import (
    BASE,
    DEV,
    DOCKER,
    EVERYTHING,
    KEYS,
    MODELS,
    NEEDED,
    OVERLAID,
    PROD,
    Compose,
    Config,
    check_installed,
    file,
    rendered,
)
from support.engine import ROOT
from support.proxy import sealed

SETTINGS = {name.upper() for name in Settings.model_fields}
# Those that are not handed on from the shell, and why.
KEPT_BACK = {
    "OPENAI_API_KEY": "production has it in a file",
    "OPENAI_API_KEY_FILE": "the path inside is another than the one outside",
    "OPENAI_API_BASE_URL": "production can't do without it",
    "OLLAMA_HOST": "the address inside is the container's own",
    "PROXY_HOST": "the address inside is the container's own",
    "PROXY_PORT": "the address inside is the container's own",
    "METRICS_PORT": "the configuration of Prometheus names the port",
    "LOG_FILE": "docker-compose.logs.yml names it, beside its volume",
    "PROXY_API_KEY": "production has them in a file",
    "PROXY_API_KEY_FILE": "docker-compose.keys.yml mounts the file, and names the path inside",
    "DATA_DIR": "docker-compose.data.yml names it, beside its volume",
    "MODELS_FILE": "docker-compose.models.yml mounts the file, and names the path inside",
    "ENV": "shells have a variable of that name for themselves",
}
EXAMPLE = (DOCKER / "compose.env.example").read_text(encoding="utf-8")
LINES = re.compile(r"^#?([A-Z_]+)=(.*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def compose() -> None:
    check_installed()


@pytest.mark.parametrize("files", [DEV, PROD, OVERLAID], ids=["dev", "prod", "overlays"])
def test_same_from_each_folder(files: Sequence[Path]) -> None:
    """G21: the files render the same from the root and from docker/."""
    assert Compose(files, NEEDED, EVERYTHING, DOCKER).config() == rendered(files)


def test_settings_are_read_beside_the_files(tmp_path: Path) -> None:
    """P8: without --env-file Compose reads docker/.env, and not that of the folder where it is started."""
    docker = tmp_path / "docker"
    shutil.copytree(DOCKER, docker)
    (tmp_path / ".env").write_text("OPENAI_API_BASE_URL=http://decoy/v1\n", encoding="utf-8")
    (docker / ".env").write_text("".join(f"{name}={value}\n" for name, value in NEEDED.items()), encoding="utf-8")
    root, inside = (Compose([file("prod", docker)], folder=folder).config() for folder in (tmp_path, docker))

    assert root == inside
    assert root.proxy["environment"]["OPENAI_API_BASE_URL"] == NEEDED["OPENAI_API_BASE_URL"]


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("is_set", [False, True], ids=["unset", "empty"])
def test_what_is_needed_is_asked_for(name: str, is_set: bool) -> None:
    """G21, D25: production without a backend or a key is refused by Compose, which names the variable."""
    others = {key: value for key, value in NEEDED.items() if key != name}
    done = Compose(PROD, others | ({name: ""} if is_set else {})).run("config", "--quiet")

    assert done.returncode != 0
    assert f"required variable {name} is missing a value: set it to" in done.stderr


def test_development_needs_nothing() -> None:
    """Development starts without a key or a backend."""
    assert Compose(DEV).config().proxy["environment"]["OPENAI_API_BASE_URL"] is None


def test_every_setting_is_handed_on(tmp_path: Path) -> None:
    """Each setting of the proxy reaches the container, or is held back for a reason; no other name does but OTEL_*."""
    image = tmp_path / "image.yml"
    image.write_text("services: {proxy: {image: any}, hardened: {image: any}}", encoding="utf-8")
    handed_on = Compose([*BASE, image]).config().proxy["environment"]

    assert {name for name in handed_on if not name.startswith("OTEL_")} == SETTINGS - KEPT_BACK.keys()
    assert set(handed_on.values()) == {None}


def test_a_setting_is_as_it_was_given(tmp_path: Path) -> None:
    """D11, P7: a value of the file that --env-file names arrives, an empty one as empty: the proxy then refuses it."""
    path = tmp_path / "prod.env"
    given = {**NEEDED, "LOG_LEVEL": "debug", "REQUEST_TIMEOUT": ""}
    path.write_text("".join(f"{name}={value}\n" for name, value in given.items()), encoding="utf-8")
    environment = Compose(PROD, options=[f"--env-file={path}"]).config().proxy["environment"]

    assert [environment[name] for name in ("LOG_LEVEL", "REQUEST_TIMEOUT", "IDLE_TIMEOUT")] == ["debug", "", None]


def test_production_has_its_key_in_a_file() -> None:
    """D11: the key is a file, and no variable that `docker inspect` shows; one in the shell is not handed on."""
    made = Compose(PROD, {**NEEDED, "OPENAI_API_KEY": "sk-shell"}).config()

    assert made.proxy["environment"]["OPENAI_API_KEY_FILE"] == "/run/secrets/openai_api_key"
    assert [secret["target"] for secret in made.proxy["secrets"]] == ["/run/secrets/openai_api_key"]
    assert "sk-shell" not in str(made)


@pytest.mark.parametrize("folder", [ROOT, DOCKER], ids=["root", "docker"])
def test_a_backend_without_a_key(folder: Path) -> None:
    """`./no-key` is a file beside the Compose files, whose word is a key for a backend that looks at none."""
    path = Path(Compose(PROD, NEEDED, folder=folder).config()["secrets"]["openai_api_key"]["file"])

    assert path == DOCKER / "no-key"
    assert path.stat().st_mode & 0o004, "user 1000 can't read it"
    assert sealed(openai_api_base_url="http://lan/v1", openai_api_key_file=path).api_key == "no-key"


def test_example_has_all_variables() -> None:
    """D24: the example names each variable that the files for production read, and no other."""
    texts = [path.read_text(encoding="utf-8") for path in (*BASE, *OVERLAID, *MODELS, *KEYS)]
    read = {name for text in texts for name in re.findall(r"\$\{(\w+)", text)}
    handed_on = SETTINGS - KEPT_BACK.keys()

    assert dict(LINES.findall(EXAMPLE)).keys() - handed_on == read - handed_on


def test_example_shows_the_defaults(tmp_path: Path) -> None:
    """The example with each of its lines in force gives what the two that it needs give; P7: no value has quotes."""
    values = dict(LINES.findall(EXAMPLE))
    needed = {name: values[name] for name in NEEDED}
    path = tmp_path / "prod.env"
    path.write_text(re.sub(r"^#([A-Z_]+=)", r"\1", EXAMPLE, flags=re.MULTILINE), encoding="utf-8")

    made = Compose(OVERLAID, options=[*EVERYTHING, f"--env-file={path}"]).config()
    assert without_settings(made) == without_settings(Compose(OVERLAID, needed, EVERYTHING).config())
    assert not set("\"'$") & set("".join(values.values()))
    assert re.findall(r"^([A-Z_]+)=", EXAMPLE, re.MULTILINE) == list(NEEDED)


def without_settings(made: Config) -> Config:
    """Return it without the settings that are the proxy's own: their defaults are not those of Compose."""
    handed_on = SETTINGS - KEPT_BACK.keys()
    environment = {name: value for name, value in made.proxy["environment"].items() if name not in handed_on}
    return Config({**made, "services": {**made.services, "proxy": {**made.proxy, "environment": environment}}})
