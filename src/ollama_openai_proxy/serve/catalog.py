"""The backend's models: fetched in the background, so that no client ever waits for the backend.

Home Assistant gives a list five seconds, and other clients drop a server whose list is slow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

import msgspec

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.errors import ModelNotFound, ProxyError, UpstreamTimeout
from ollama_openai_proxy.serve.aliases import Aliases, Table
from ollama_openai_proxy.serve.learning import Learning
from ollama_openai_proxy.translate.aliases import with_aliases
from ollama_openai_proxy.translate.models import Directory, Model, check_source, without_source
from ollama_openai_proxy.translate.modelsfile import NO_MODELS_FILE, ModelsFile
from ollama_openai_proxy.translate.openai import catalog
from ollama_openai_proxy.translate.openai.profile import Profile
from ollama_openai_proxy.translate.openai.profiles import PROFILES, detect
from ollama_openai_proxy.translate.openai.sources import sources
from ollama_openai_proxy.upstream.client import Upstream

_MAX_LIST = 16 * 1024 * 1024
_FIRST_LIST_SECONDS = 3.0
_FIRST_RETRY_SECONDS = 1.0
_LIST_SECONDS = 10.0
_PAUSE_SECONDS = 5.0
_RENEWAL_SECONDS = 5.0
_FRESH_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Catalog:
    """The models as they were last seen, stale ones included when the backend is slow or down."""

    def __init__(
        self,
        upstream: Upstream,
        host: str,
        aliases: Aliases | None = None,
        *,
        models_file: ModelsFile = NO_MODELS_FILE,
        profile: str = "auto",
        refresh: float = 60.0,
        forward_unknown: bool = False,
    ) -> None:
        """`refresh` is in seconds; `host` is the backend's; `profile` a name, or `auto`.

        `models_file`: what the operator says of the models.
        """
        self.first_seen = int(time.time())
        self.profile: Profile = PROFILES.get(profile) or detect(host, ())
        self._detects = profile == "auto"
        self._host = host
        self._upstream = upstream
        self._aliases = aliases or Aliases()
        self._models_file = models_file
        self._refresh = refresh
        self._forward_unknown = forward_unknown
        self._learning = Learning(upstream)
        self._listed: tuple[Model, ...] = ()  # the backend's, as its list has them
        self._own: tuple[Model, ...] = ()
        self._joined: Table | None = None
        self._join()
        self._asking = asyncio.Lock()  # for the list
        self._asked = float("-inf")  # when that last ended, and how
        self._problem: ProxyError | None = None
        self._loaded = asyncio.Event()
        self._failure: ProxyError | None = None  # of a list that was never had
        self._wanted = asyncio.Event()
        self._attempted = asyncio.Event()

    async def run(self) -> None:
        """Keep the list fresh, until cancelled."""
        retry = _FIRST_RETRY_SECONDS
        while True:
            try:
                await self.update()
                retry, wait = _FIRST_RETRY_SECONDS, self._refresh
            except ProxyError as error:
                _log.warning("no list of models: %s", error.message)
                self._failure = None if self._loaded.is_set() else error
                wait, retry = retry, min(2 * retry, self._refresh)
            self._attempted.set()
            self._wanted.clear()
            await self._learn()
            pause = min(wait, _PAUSE_SECONDS)
            await asyncio.sleep(pause)  # however many unknown names are asked for
            with suppress(TimeoutError):
                async with asyncio.timeout(wait - pause):
                    await self._wanted.wait()

    async def update(self) -> None:
        """Fetch the list once. Raises ProxyError, and then keeps the one it had."""
        async with self._asking:
            await self._fetch()

    async def renew(self) -> None:
        """Look at the backend's list now. Raises ProxyError if it could not be asked.

        Whoever asks meanwhile shares the answer, and whoever asks within a second after. Takes 5 s at most.
        """
        try:
            async with asyncio.timeout(_RENEWAL_SECONDS), self._asking:
                if time.monotonic() - self._asked >= _FRESH_SECONDS:
                    await self._fetch()
                elif self._problem:
                    raise self._problem
        except TimeoutError:
            raise UpstreamTimeout("the upstream did not answer in time") from None

    async def _fetch(self) -> None:
        try:
            body = await self._upstream.fetch(Call("/models"), _MAX_LIST, _LIST_SECONDS)
            # thousands of models take a while, in which others are answered
            self._take(await asyncio.to_thread(catalog.decode, body), body)
        except ProxyError as error:
            self._asked, self._problem = time.monotonic(), error
            raise
        self._asked, self._problem = time.monotonic(), None

    def _take(self, models: list[Model], body: bytes) -> None:
        known = {model.id: model for model in self._listed}
        self._listed = tuple(_with_date(model, known.get(model.id)) for model in models)
        if self._detects:
            self.profile = detect(self._host, {model.owned_by for model in self._listed})
        self._learning.follow(sources(models, self._host, body))
        self._join()
        self._failure = None
        self._loaded.set()

    async def _learn(self) -> None:
        """Ask what the backend tells beside the list; not while it does not even tell that."""
        if self._problem is None and await self._learning.ask():
            self._join()

    @property
    def known(self) -> tuple[Model, ...]:
        """The backend's models and the aliases, as of the last list."""
        return self._directory.models

    @property
    def _directory(self) -> Directory:
        if self._aliases.current() is not self._joined:
            self._join()
        return self._all

    def _join(self) -> None:
        """Put together what is known; if nothing has changed all stays as it is, to the object."""
        own, joined = tuple(self._learning.applied(self._listed)), self._aliases.current()
        if self._joined is joined and self._own == own:
            return
        self._own, self._joined = own, joined
        self._all = Directory(with_aliases(self._models_file.apply(own), joined))

    def knows(self, model: Model) -> bool:
        """Whether the model is one of the list, and not only a name that was handed on."""
        return self._directory.find(model.id) is model

    def latest(self, model: Model) -> Model | None:
        """Return the model as it is known now; None: it was an alias, or the backend's, and is no more."""
        found = self._directory.find(model.id)
        if found and found.id == model.id:
            return found
        return None if model.upstream or not self._hands_on else model

    async def models(self) -> tuple[Model, ...]:
        """Return the models; right after the start, wait briefly for the first list."""
        await self._first_list()
        return self._directory.models

    async def listed(self, name: str) -> Model | None:
        """Return the model that `name` means; None: it is not in the last list."""
        await self._first_list()
        return self._directory.find(name)

    def found(self, name: str) -> Model | None:
        """Return the model that `name` means, None if only `find` can say whether there is one."""
        return self._directory.find(name) if self._attempted.is_set() else None

    async def find(self, name: str, *, asks: bool = True) -> Model:
        """Return the model that `name` means. Raises ModelNotFound, and InvalidRequest for a name that is `:local`
        and `:cloud`.

        While no list was ever had, any name may be the backend's, and it will say so itself if the
        request `asks` it. Raises why there is no list if it does not.
        """
        if model := await self.listed(name):
            return model
        check_source(name)
        if not asks and not self._loaded.is_set():
            raise self._failure or UpstreamTimeout("the upstream did not answer in time")
        if self._hands_on:
            return Model(id=without_source(name).removesuffix(":latest"))
        self._wanted.set()  # it may be new
        raise ModelNotFound(name)

    @property
    def _hands_on(self) -> bool:
        """Whether a name that is not in the list may be a model all the same."""
        return self._forward_unknown or not self._loaded.is_set()

    async def _first_list(self) -> None:
        if not self._attempted.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_LIST_SECONDS):
                    await self._attempted.wait()
            self._attempted.set()  # whoever comes later has waited enough


def _with_date(model: Model, known: Model | None) -> Model:
    """Keep the first date: llama.cpp says "now" each time, and clients cache by it."""
    return msgspec.structs.replace(model, created=known.created) if known else model
