"""How drawn faces differ: colours, light and hair, and the random choice of them and of the shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.synthetic.shape import FaceShape

_SKINS = np.array(
    [(240, 206, 184), (232, 190, 160), (220, 168, 130), (200, 142, 104), (164, 110, 78), (124, 82, 58), (90, 60, 45)], np.float64
)
_HAIRS = np.array(
    [(24, 20, 20), (44, 30, 24), (78, 52, 34), (120, 80, 46), (186, 146, 90), (150, 62, 34), (150, 148, 146), (222, 218, 212)]
)
HAIR_STYLES = ("bald", "buzz", "short", "bob", "long")
_IRISES = np.array([(52, 32, 20), (84, 52, 28), (112, 84, 44), (92, 108, 62), (84, 120, 148), (120, 132, 140)])


@dataclass(frozen=True)
class Look:
    """Colours (3,) are RGB 0 to 255, lengths millimetres, shares 0 to 1.

    Attributes:
      light: unit vector (3,) towards the lamp, in the viewer's frame.
      ambient: share of the light that comes from everywhere.
      warmth: colour factors of the lamp.
      hair_style: one of HAIR_STYLES.
      hairline, hair_volume, parting: height of the hairline, thickness of the hair, tilt of the fringe.
      beard, moustache: how dense they are.
      make_up: strength of lash lines, eye shadow and blush.
    """

    skin: np.ndarray
    lip: np.ndarray
    iris: np.ndarray
    hair: np.ndarray
    brow: np.ndarray
    light: np.ndarray
    ambient: float = 0.45
    warmth: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gloss: float = 0.15
    hair_style: str = "short"
    hairline: float = -64.0
    hair_volume: float = 9.0
    parting: float = 0.0
    beard: float = 0.0
    moustache: float = 0.0
    make_up: float = 0.0
    age: float = 0.0
    freckles: float = 0.0
    catchlight: float = 0.9
    pupil: tuple[float, float, float] = (10.0, 8.0, 8.0)


def sample_look(rng: np.random.Generator) -> Look:
    """Returns random colours, light and hair."""
    tone = rng.uniform(0, len(_SKINS) - 1)
    skin = np.array([np.interp(tone, range(len(_SKINS)), _SKINS[:, i]) for i in range(3)]) * rng.uniform(0.95, 1.03, 3)
    hair = _HAIRS[rng.choice(len(_HAIRS), p=[0.3, 0.22, 0.16, 0.1, 0.08, 0.05, 0.06, 0.03])]
    hair = hair * rng.uniform(0.85, 1.15) * rng.uniform(0.96, 1.04, 3)
    iris = _IRISES[rng.integers(0, 2) if tone > 3 else rng.integers(len(_IRISES))] * rng.uniform(0.85, 1.15)
    manly = rng.random() < 0.5
    lip = skin * (0.86, 0.66, 0.66) + (8, 0, 2)
    make_up = 0.0 if manly else rng.uniform(0, 1)
    if make_up > 0.4:
        stick = np.array([(190, 40, 60), (205, 90, 100), (150, 40, 70), (190, 84, 74)])[rng.integers(4)]
        lip = lip + (stick - lip) * rng.uniform(0.3, 0.8)
    azimuth, height = np.deg2rad(rng.uniform(-65, 65)), np.deg2rad(rng.uniform(0, 55))
    light = np.array([np.sin(azimuth) * np.cos(height), -np.sin(height), np.cos(azimuth) * np.cos(height)])
    bearded = manly and rng.random() < 0.45
    beard = rng.uniform(0.15, 0.95) if bearded else 0.0
    weights = [0.12, 0.22, 0.54, 0.06, 0.06] if manly else [0.01, 0.04, 0.2, 0.3, 0.45]
    return Look(
        skin=np.clip(skin, 0, 255), lip=np.clip(lip, 0, 255), iris=iris, hair=np.clip(hair, 0, 245),
        brow=np.clip(np.minimum(hair * 0.75, skin * 0.5) * rng.uniform(0.6, 1.0), 0, 200),
        light=light, ambient=rng.uniform(0.36, 0.65), warmth=tuple(np.clip(rng.normal([1.03, 1, 0.97], [0.04, 0.02, 0.05]), 0.8, 1.15)),
        gloss=rng.uniform(0.05, 0.3), hair_style=str(rng.choice(HAIR_STYLES, p=weights)),
        hairline=rng.uniform(-72, -56) if rng.random() > 0.2 else rng.uniform(-50, -36),
        hair_volume=rng.uniform(9, 19), parting=rng.uniform(-15, 15), beard=beard,
        moustache=beard if rng.random() < 0.8 else 0.0, make_up=make_up, age=max(0.0, rng.normal(0.2, 0.4)),
        freckles=float(rng.random() < 0.12), catchlight=rng.uniform(0.6, 1.0),
    )  # fmt: skip


def hair_edge(look: Look, turn: np.ndarray) -> np.ndarray:
    """Returns the height at which the hair ends at each turn (radians) about the head."""
    far = np.abs(turn)
    line = look.hairline
    falls = {
        "bald": ([0, 0.6, 1.0, 1.4, np.pi], [-70, -70, -58, -4, 40]),
        "buzz": ([0, 0.5, 0.9, 1.1, 1.35, 1.5, 1.7, 1.9, 2.4, np.pi], [line, line - 1, line + 8, -38, -12, 6, -14, -10, 55, 60]),
        "short": ([0, 0.5, 0.9, 1.1, 1.35, 1.5, 1.7, 1.9, 2.4, np.pi], [line, line, line + 10, -34, -4, 14, -8, 0, 60, 66]),
        "bob": ([0, 0.5, 0.85, 1.05, 1.25, 1.45, 1.8, np.pi], [line, line + 2, line + 14, -22, 34, 78, 92, 96]),
        "long": ([0, 0.5, 0.85, 1.1, 1.3, 1.5, 1.8, np.pi], [line, line + 2, line + 14, -16, 55, 150, 190, 200]),
    }
    return np.interp(far, *falls[look.hair_style]) + look.parting * np.sin(turn) * (far < 1.6)


def sample_shape(rng: np.random.Generator) -> FaceShape:
    """Returns a random face: about one in eight has narrowed or nearly closed eyes, about a third an open mouth."""
    far = rng.normal
    base = FaceShape()
    chin = 116 * rng.uniform(0.92, 1.07)
    stretch = chin / 116
    eye_open = rng.uniform(0.75, 1.15) if rng.random() > 0.13 else rng.uniform(0.04, 0.6)
    mouth_open = rng.choice([0.0, rng.uniform(1, 7), rng.uniform(6, 24)], p=[0.6, 0.25, 0.15])
    raised = np.clip(far(0, 1.5), -3, 5)
    return FaceShape(
        half_width=base.half_width * rng.uniform(0.9, 1.09),
        chin=chin + 0.55 * mouth_open,
        crown=base.crown * rng.uniform(0.95, 1.05),
        jaw_square=rng.uniform(1.85, 2.75),
        chin_round=rng.uniform(1.75, 2.35),
        eye_x=rng.uniform(29.5, 34.5),
        eye_half_width=rng.uniform(14.2, 17.2),
        eye_height=rng.uniform(9.5, 13),
        eye_tilt=np.clip(far(1.2, 1.3), -2, 4.5),
        eye_open=tuple(np.clip(eye_open + far(0, 0.04, 2), 0.03, 1.2)),
        gaze=(np.clip(far(0, 1.8), -4.2, 4.2), np.clip(far(0, 0.9), -2, 2)),
        iris_radius=rng.uniform(5.4, 6.3),
        brow_y=-rng.uniform(17, 24),
        brow_raise=tuple(raised + np.clip(far(0, 0.7, 2), -2, 2)),
        brow_thickness=rng.uniform(5, 10.5),
        brow_half_length=rng.uniform(18.5, 24),
        brow_arch=rng.uniform(1.5, 8),
        brow_tilt=np.clip(far(0.5, 1.8), -4, 4),
        nose_half_width=rng.uniform(14, 21.5),
        nose_base=rng.uniform(42, 51) * stretch,
        nose_depth=rng.uniform(16, 27),
        nose_bridge=rng.uniform(5.5, 9),
        mouth_y=rng.uniform(67, 74) * stretch,
        mouth_half_width=rng.uniform(20, 30),
        lip_upper=rng.uniform(4, 10),
        lip_lower=rng.uniform(6, 13),
        mouth_open=float(mouth_open),
        smile=np.clip(far(2, 3), -4, 9),
        skew=np.clip(far(0, 0.8), -2, 2),
    )
