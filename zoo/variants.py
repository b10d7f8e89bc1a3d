"""The registry: one frozen row per variant. Adding a variant is adding a row."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import unknown

TAGS = {
    "open": "trained on data whose licence allows commercial use of the weights",
    "research": "trained with data for non-commercial research: so are the weights",
}
DEFAULT_TAG = "open"


@dataclass(frozen=True)
class Stage:
    """One doubling of resolution: `kind` is "deconv" or "shuffle", `width` its channels."""

    kind: str
    width: int


@dataclass(frozen=True)
class VariantSpec:
    """The shape of one network.

    Attributes:
      name: `head-alpha-size`.
      alpha: width factor of the MobileNetV2 backbone.
      size: side of the square crop in pixels.
      stages: the head, from the coarsest stage on; each doubles the backbone's 1/32 resolution.
      laterals: for each stage the backbone layer added to it (None for none); they carry detail past the bottleneck.
      points: landmarks, one heat map each.
    """

    name: str
    alpha: float
    size: int
    stages: tuple[Stage, ...]
    laterals: tuple[str | None, ...] = ("block_13_expand_relu", "block_6_expand_relu", "block_3_expand_relu")
    points: int = 106

    @property
    def stride(self) -> int:
        """Crop pixels per cell of the heat maps."""
        return 32 >> len(self.stages)

    @property
    def grid(self) -> int:
        """Cells along one side of the heat maps."""
        return self.size // self.stride

    @property
    def head(self) -> str:
        """The head's kind: "deconv", "shuffle" or "mixed"."""
        return self.name.split("-")[0]


def _head(kinds: str, *widths: int) -> tuple[Stage, ...]:
    """Returns stages from letters: d for a deconvolution, s for a pixel shuffle."""
    return tuple(Stage({"d": "deconv", "s": "shuffle"}[kind], width) for kind, width in zip(kinds, widths, strict=True))


# The three heads of one size have the same widths, so that only the way of upscaling differs. The mixture spends its
# one deconvolution where it is cheapest, on the coarsest grid.
# fmt: off
VARIANTS: tuple[VariantSpec, ...] = (
    VariantSpec("deconv-035-128",  0.35, 128, _head("ddd", 128, 96, 64)),
    VariantSpec("shuffle-035-128", 0.35, 128, _head("sss", 128, 96, 64)),
    VariantSpec("mixed-035-128",   0.35, 128, _head("dss", 128, 96, 64)),
    VariantSpec("mixed-035-096",   0.35,  96, _head("dss", 128, 96, 64)),
    VariantSpec("mixed-035-064",   0.35,  64, _head("dss", 128, 96, 64)),
    VariantSpec("deconv-050-128",  0.50, 128, _head("ddd", 160, 112, 64)),
    VariantSpec("shuffle-050-128", 0.50, 128, _head("sss", 160, 112, 64)),
    VariantSpec("mixed-050-128",   0.50, 128, _head("dss", 160, 112, 64)),
    VariantSpec("deconv-100-192",  1.00, 192, _head("ddd", 256, 160, 96)),
    VariantSpec("shuffle-100-192", 1.00, 192, _head("sss", 256, 160, 96)),
    VariantSpec("mixed-100-192",   1.00, 192, _head("dss", 256, 160, 96)),
)
# fmt: on
_BY_NAME = {spec.name: spec for spec in VARIANTS}


def names() -> list[str]:
    """Returns the names of all variants, in the registry's order."""
    return list(_BY_NAME)


def get(name: str) -> VariantSpec:
    """Returns the row called `name` (a tag behind a dot is ignored); a ZooError suggests the nearest name."""
    base = name.partition(".")[0]
    if base not in _BY_NAME:
        raise unknown("variant", name, _BY_NAME)
    return _BY_NAME[base]


def split_tag(name: str) -> tuple[str, str]:
    """Returns the variant's name and the weights' tag, `open` unless one is given; a ZooError for an unknown one."""
    base, _, tag = name.partition(".")
    tag = tag or DEFAULT_TAG
    get(base)
    if tag not in TAGS:
        raise unknown("tag", tag, TAGS)
    return base, tag


def is_weights_name(name: str) -> bool:
    """Returns whether a name has the form of published weights, `variant.tag`, whether or not any are published under it."""
    base, dot, tag = name.partition(".")
    return bool(dot) and base in _BY_NAME and tag in TAGS
