"""Vectors of texts, from the model that settings.EMBEDDINGS_MODEL names. Nothing heavy is imported before the first.

`local:minilm-l6-v2-int8` comes with the platform; `onnx:/a/folder` is any sentence-transformers ONNX export, such as
paraphrase-multilingual-MiniLM-L12-v2 for languages other than English; all else is LangChain's `provider:model`.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.utils.translation import gettext as _

from agents.gateway.exceptions import GatewayError, InvalidModelName, ModelTimeout, ModelUnavailable, UnknownProvider

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

DEFAULT: Final = "local:minilm-l6-v2-int8"
REMEMBERED: Final = 2048
# How long LangChain's embeddings may take; a call waits for one text. And how long they are left alone afterwards.
WITHIN_SECONDS: Final = 3.0
SECONDS_A_TEXT: Final = 0.1
QUIET_SECONDS: Final = 30.0
_remembered: OrderedDict[tuple[str, str], Any] = OrderedDict()
_guard = threading.Lock()
_quiet_until = 0.0


def embedding_model() -> str:
    """The model's name: only vectors made under the same name can be compared."""
    return str(getattr(settings, "EMBEDDINGS_MODEL", DEFAULT))


def embed(texts: Sequence[str]) -> Matrix:
    """float32[n, d], rows of unit length. Raises GatewayError."""
    import numpy as np

    name = embedding_model()
    known = {text: vector for text in texts if (vector := _recalled(name, text)) is not None}
    missing = list(dict.fromkeys(text for text in texts if text not in known))
    if missing:
        known.update(zip(missing, _vectors(name, missing), strict=True))
        _remember(name, known, missing)
    return np.stack([known[text] for text in texts]) if texts else np.zeros((0, 0), np.float32)


def validate_embeddings_name(name: str) -> None:
    """Raises InvalidModelName, UnknownProvider or MissingProviderPackage when the name cannot be used here."""
    from agents.gateway.minilm import require_packages
    from agents.gateway.providers import MODULES

    kind, _colon, model = name.partition(":")
    if not model:
        raise InvalidModelName(_("“%(name)s” is not an embedding model; write provider:model.") % {"name": name[:250]})
    if kind == "local":
        if name != DEFAULT:
            raise InvalidModelName(_("The local embedding model is %(name)s.") % {"name": DEFAULT})
        require_packages()
    elif kind == "onnx":
        require_packages(("numpy", "onnxruntime", "tokenizers"))
        if not Path(model).is_dir():
            raise InvalidModelName(_("%(folder)s is not a folder.") % {"folder": model})
        if not _has_export(Path(model)):
            raise InvalidModelName(_("%(folder)s has no model.onnx with a tokenizer.json.") % {"folder": model})
    elif kind not in MODULES:
        raise UnknownProvider(_("There is no embeddings provider “%(provider)s”.") % {"provider": kind[:50]})
    else:
        require_packages((MODULES[kind],))


def _has_export(folder: Path) -> bool:
    """Where minilm.encoder_at looks for it."""
    has_model = any((folder / name).is_file() for name in ("model.onnx", "onnx/model.onnx"))
    return has_model and (folder / "tokenizer.json").is_file()


def _vectors(name: str, texts: list[str]) -> Matrix:
    from agents.gateway import minilm

    kind, _colon, model = name.partition(":")
    if name == DEFAULT:
        return minilm.bundled().encode(texts)
    if kind == "onnx":
        return minilm.encoder_at(model).encode(texts)
    validate_embeddings_name(name)
    return _provided(name, texts)


def _provided(name: str, texts: list[str]) -> Matrix:
    import numpy as np

    try:
        rows = np.asarray(_in_time(lambda: _provider(name).embed_documents(texts), len(texts)), np.float32)
    except GatewayError:
        raise
    except Exception as error:
        raise ModelUnavailable(_("The embedding model failed: %(kind)s.") % {"kind": type(error).__name__}) from error
    norms: Matrix = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)


def _in_time(ask: Callable[[], Any], texts: int) -> Any:
    """What `ask` gives, of a provider that knows no deadline. Raises ModelTimeout, and what `ask` raises; for a while
    after a timeout at once, so that neither calls nor threads wait one after the other.
    """
    global _quiet_until
    if time.monotonic() < _quiet_until:
        raise ModelTimeout
    future: Future[Any] = Future()

    def answer() -> None:
        try:
            future.set_result(ask())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=answer, name="embedding", daemon=True).start()
    try:
        return future.result(timeout=WITHIN_SECONDS + texts * SECONDS_A_TEXT)
    except FutureTimeoutError:
        if future.done():
            raise
        _quiet_until = time.monotonic() + QUIET_SECONDS
        raise ModelTimeout from None


@cache
def _provider(name: str) -> Any:
    from langchain.embeddings import init_embeddings

    return init_embeddings(name)


def _recalled(name: str, text: str) -> Any:
    with _guard:
        vector = _remembered.get((name, text))
        if vector is not None:
            _remembered.move_to_end((name, text))
        return vector


def _remember(name: str, known: dict[str, Any], texts: list[str]) -> None:
    with _guard:
        for text in texts:
            _remembered[name, text] = known[text]
        while len(_remembered) > REMEMBERED:
            _remembered.popitem(last=False)
