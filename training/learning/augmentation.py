"""What a phone does to a face: colour, light, blur, noise, compression, things in front of it. Pixels only; geometry is the alignment's."""

from __future__ import annotations

import cv2
import numpy as np


def photometric(crop: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Returns a recoloured crop (S, S, 3) uint8; `strength` 0..1 scales how often and how much."""
    if rng.random() > strength:
        return crop
    kind = rng.random(8)
    if kind[0] < 0.2:
        crop = _coarse(crop, rng)
    if kind[1] < 0.25:
        crop = _blur(crop, rng)
    crop = _tone(crop, rng, grey=kind[2] < 0.12, shade=kind[3] < 0.3)
    if kind[4] < 0.2:
        noise = rng.normal(0, rng.uniform(2, 14), crop.shape)
        crop = np.clip(crop + noise, 0, 255).astype(np.uint8)
    if kind[5] < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))]
        crop = cv2.imdecode(cv2.imencode(".jpg", crop, quality)[1], cv2.IMREAD_COLOR)
    return crop


def occlude(crop: np.ndarray, rng: np.random.Generator, chance: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the crop with, now and then, something in front of the face, and what of it is covered (S, S) bool.

    A plain or noisy ellipse, box or bar; a piece of the same picture from elsewhere, coloured as skin and hair are; or all that lies beyond
    a straight edge, as where a picture ends.
    """
    size = len(crop)
    covered = np.zeros((size, size), np.uint8)
    if rng.random() > chance:
        return crop, covered.astype(bool)
    crop, whole = crop.copy(), crop
    for _ in range(int(rng.integers(1, 3))):
        mask = _occluder(size, rng)
        if rng.random() < 0.3:
            fill = np.roll(whole, rng.integers(size // 4, 3 * size // 4, 2).tolist(), (0, 1))
        else:
            noise = rng.normal(0, rng.uniform(0, 30), (size, size, 1)) if rng.random() < 0.7 else 0
            fill = rng.integers(0, 256, 3).astype(np.float32) * (rng.random() > 0.2) + noise
        inside = mask > 0
        crop[inside] = np.clip(np.broadcast_to(fill, crop.shape)[inside], 0, 255).astype(np.uint8)
        covered |= mask
    return crop, covered.astype(bool)


def _occluder(size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns what an occluder covers, (S, S) uint8 of 0 and 255."""
    mask, kind = np.zeros((size, size), np.uint8), rng.random()
    if kind < 0.15:
        angle, middle = rng.uniform(0, 2 * np.pi), (size - 1) / 2
        rows, columns = np.mgrid[:size, :size] - middle
        mask[np.cos(angle) * columns + np.sin(angle) * rows > rng.uniform(0.05, 0.4) * size] = 255
        return mask
    centre = rng.uniform(0, size, 2).astype(int).tolist()
    axes = (rng.uniform(0.05, 0.25, 2) * size).astype(int).tolist()
    if kind < 0.6:
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    else:
        box = cv2.boxPoints((tuple(map(float, centre)), tuple(2.0 * a for a in axes), float(rng.uniform(0, 180))))
        cv2.fillPoly(mask, [box.astype(np.int32)], 255)
    return mask


def _coarse(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = len(crop)
    small = max(24, int(size * rng.uniform(0.3, 0.8)))
    reduced = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
    return cv2.resize(reduced, (size, size), interpolation=cv2.INTER_LINEAR)


def _blur(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.6:
        return cv2.GaussianBlur(crop, (0, 0), float(rng.uniform(0.4, len(crop) / 70)))
    return cv2.filter2D(crop, -1, _motion(float(rng.integers(3, max(4, len(crop) // 16))), float(rng.uniform(0, np.pi))))


def _motion(length_px: float, angle: float) -> np.ndarray:
    """Returns a kernel (odd, odd) float32 with a sum of 1: a line through its middle, so that no point of the picture moves."""
    half = int(np.ceil(length_px / 2))
    line = np.zeros((2 * half + 1,) * 2, np.uint8)
    reach = (length_px - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    first, last = (np.rint(16 * (half + sign * reach)).astype(int).tolist() for sign in (-1, 1))
    cv2.line(line, first, last, 255, 1, cv2.LINE_AA, shift=4)
    even = line.astype(np.float32) + line[::-1, ::-1]  # OpenCV draws the two ends a little differently
    return even / even.sum()


def _tone(crop: np.ndarray, rng: np.random.Generator, grey: bool, shade: bool) -> np.ndarray:
    ramp = np.arange(256, dtype=np.float32) / 255
    contrast, brightness, gamma = rng.uniform(0.6, 1.4), rng.uniform(-0.2, 0.2), np.exp(rng.uniform(-0.5, 0.5))
    curves = (ramp[:, None] ** gamma - 0.5) * contrast * rng.uniform(0.85, 1.15, 3) + 0.5 + brightness
    table = np.clip(curves * 255, 0, 255).astype(np.uint8)
    out = cv2.LUT(crop, table[:, None, :])
    if grey:
        out = np.repeat(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if shade:  # light from one side
        size, angle = len(crop), rng.uniform(0, 2 * np.pi)
        axis = np.linspace(-1, 1, size, dtype=np.float32)
        plane = 1 + rng.uniform(0.1, 0.6) * (np.cos(angle) * axis[None] + np.sin(angle) * axis[:, None])
        out = np.clip(out * plane[..., None], 0, 255).astype(np.uint8)
    return out
