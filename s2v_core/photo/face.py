"""Where the faces in a picture are: YuNet, in numpy.

YuNet (W. Wu, H. Peng, S. Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023, doi 10.1007/s11633-023-1423-y)
looks once at the whole picture. For each cell of three grids it answers how sure it is of a face, where that lies, and
where its eyes, nose and corners of the mouth are. The weights are those of March 2023 in OpenCV's model zoo (MIT
licence, beside them), in the order of the way through them: a stem, 3 × 3 with stride 2; a body of eleven units with
pooling between them, whose outputs at 1/8, 1/16 and 1/32 of the size are kept; a neck of three, which adds each coarser
output to the finer one; four heads for each of the three: class, box, objectness, landmarks. A unit is a 1 × 1
convolution and then a 3 × 3 one within each channel, each with its bias.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

# More threads than a small product is worth wait for each other on a busy machine: 97 ms in place of 11.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_WEIGHTS = Path(__file__).parents[2] / "assets" / "faces" / "yunet-2023mar.f16"
# Channels in and out of each unit: the body's and the neck's, then the heads'.
_UNITS = [(16, 16), (16, 16), (16, 32), (32, 32), (32, 64), *[(64, 64)] * 9]
_UNITS += [(64, outputs) for outputs in (1, 4, 1, 10) for _ in range(3)]
_SCORE, _OVERLAP = 0.6, 0.3
# Worked on at once: what stays in a processor's cache.
_NUMBERS = 20_000
Array: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Face:
    """In pixels of the picture: its box, and the eyes, nose and corners of the mouth, the person's right ones first."""

    left: float
    top: float
    width: float
    height: float
    landmarks: tuple[tuple[float, float], ...]
    score: float


def find_faces(picture: Image.Image, long_side: int = 320) -> list[Face]:
    """Those with a score of 0.6 to 1, the best first; looked for in a copy of the picture of at most this size."""
    width, height = (max(1, round(side * min(1.0, long_side / max(picture.size)))) for side in picture.size)
    small = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    # Blue first, and up to a multiple of 32 at the right and below.
    pixels = np.zeros((3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
    pixels[:, :height, :width] = np.asarray(small, np.float32)[:, :, ::-1].transpose(2, 0, 1)
    answers = _answers(pixels)
    rows = np.concatenate([_found(*answers[grid::3], stride=8 * 2**grid) for grid in range(3)])
    rows[:, 1:] *= np.array([picture.width / width, picture.height / height] * 7)
    rows, faces = rows[np.argsort(-rows[:, 0])], []
    while len(rows):
        score, left, top, wide, high, *marks = rows[0].tolist()
        faces.append(Face(left, top, wide, high, tuple(zip(marks[::2], marks[1::2], strict=True)), score))
        starts, ends = rows[:, 1:3], rows[:, 1:3] + rows[:, 3:5]
        common = (np.minimum(ends[0], ends) - np.maximum(starts[0], starts)).clip(0).prod(1)[1:]
        # What overlaps is the same face once more.
        rows = rows[1:][common <= _OVERLAP * (wide * high + rows[1:, 3:5].prod(1) - common)]
    return faces


def _answers(pixels: Array) -> list[Array]:
    """Of the class, box, objectness and landmarks heads, each for three grids, the finest first."""
    stem, bias, *units = _network()
    rows, columns = (side // 2 for side in pixels.shape[1:])
    framed = np.pad(pixels, ((0, 0), (1, 1), (1, 1)))
    windows = [framed[:, place // 3 :: 2, place % 3 :: 2][:, :rows, :columns] for place in range(9)]
    x = np.maximum(stem @ np.stack(windows, 1).reshape(27, -1) + bias, 0).reshape(16, rows, columns)
    body = []
    for number in range(11):
        body.append(x := _unit(units[number], x))
        if number in {0, 4, 6, 8}:
            x = np.maximum(x[:, ::2], x[:, 1::2])
            x = np.maximum(x[:, :, ::2], x[:, :, 1::2])
    coarse = _unit(units[11], body[10])
    middle = _unit(units[12], body[8] + coarse.repeat(2, 1).repeat(2, 2))
    fine = _unit(units[13], body[6] + middle.repeat(2, 1).repeat(2, 2))
    return [_unit(unit, grid, least=-np.inf) for unit, grid in zip(units[14:], [fine, middle, coarse] * 4, strict=True)]


def _unit(weights: list[Array], x: Array, *, least: float = 0.0) -> Array:
    point, bias, depth, depth_bias = weights
    (_, rows, columns), outputs = x.shape, len(point)
    # Framed by zeros, and each channel as one long row: a neighbour is as far away for every pixel.
    wide, size = columns + 2, rows * (columns + 2)
    framed = np.zeros((outputs, size + 2 * wide + 2), np.float32)
    inner = framed[:, :-2].reshape(outputs, rows + 2, wide)[:, 1:-1, 1:-1]
    np.add((point @ x.reshape(len(x), -1)).reshape(inner.shape), bias[:, :, None], out=inner)
    out, step = np.empty((outputs, rows, columns), np.float32), max(1, _NUMBERS // size)
    for part in (slice(at, at + step) for at in range(0, outputs, step)):
        # The three rows beside each other, times the kernel's columns; then what belongs to one pixel is added.
        three = np.stack([framed[part, row * wide : row * wide + size + 2] for row in range(3)], 1)
        left, middle, right = (depth[part].reshape(-1, 3, 3).transpose(0, 2, 1) @ three).transpose(1, 0, 2)
        total = left[:, :-2] + middle[:, 1:-1] + right[:, 2:] + depth_bias[part]
        np.maximum(total.reshape(-1, rows, wide)[:, :, :columns], least, out=out[part])
    return out


@np.errstate(over="ignore")
def _found(kind: Array, box: Array, objectness: Array, points: Array, *, stride: int) -> Array:
    """Of each cell that is sure enough: score, left, top, width, height, and five times x and y."""
    score = 1 / np.sqrt((1 + np.exp(-kind[0])) * (1 + np.exp(-objectness[0])))
    row, column = np.nonzero(score >= _SCORE)
    cell, centre, size = np.stack([column, row]), box[:2, row, column], np.exp(box[2:, row, column])
    places = np.concatenate([cell + centre - size / 2, size, np.tile(cell, (5, 1)) + points[:, row, column]])
    return np.vstack([score[row, column], stride * places]).T


@cache
def _network() -> list[Any]:
    shapes = [(16, 27), (16, 1), *(s for i, o in _UNITS for s in ((o, i), (o, 1), (o, 9), (o, 1)))]
    parts = np.split(np.fromfile(_WEIGHTS, "<f2").astype(np.float32), np.cumsum([a * b for a, b in shapes])[:-1])
    arrays = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    return [*arrays[:2], *(arrays[at : at + 4] for at in range(2, len(arrays), 4))]
