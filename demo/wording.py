"""The page's pieces of text and HTML that are made of figures; every name that comes from outside is escaped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from demo.compare import Finding, ModelFile, drift_percent, percentiles_ms
from demo.figures import Verdict
from demo.intake import CLIP_FRAMES, KEPT_FRAMES, MAX_MEGAPIXELS, MAX_PICTURE_BYTES, MAX_VIDEO_BYTES
from zoo.errors import ZooError
from zoo.media import POSSIBLE

SUBTITLE = "The same face through every published variant: what each one gives, and what it costs on this machine."
SAMPLES = "Drawn faces, whose true points are known"
NO_SCENE = "This view opens with a face and a variant."
BY_HAND = "Five points of yours then align the face, in place of the detector's."
PRIVACY = "Pictures stay in this program's memory until the page is closed; nothing is written to the disk or sent on."
TRUTH = "the drawing's true points"
NOTHING_PUBLISHED = (
    "**No weights are published yet.** Train a variant and publish it with `python -m tflite publish RUN`; it then shows up here."
)
NO_FACE = "**No face was found by itself.** Mark five points of one, by clicking or typing, and the variants are run on that."
NO_VARIANT = "**No variant is chosen.** Pick one or more under 'Variants to compare'."
FILES_HELP = "Every published file is here: weights (variant.tag) and precision. Type a part of a name to search."
PICTURES_HELP = (
    f"Up to {MAX_PICTURE_BYTES >> 20} MB and {MAX_MEGAPIXELS} megapixels each. What a file holds counts, not its name: "
    "JPEG, PNG, WebP, BMP, TIFF, GIF and AVIF are read."
)
VIDEO_HELP = f"Up to {MAX_VIDEO_BYTES >> 20} MB, decoded in memory: {POSSIBLE}."
NO_PICTURE = "**No picture yet.** Put one or several pictures of faces into the box above, or choose a sample."
NO_PHOTOGRAPH = "**No photograph yet.** Allow the camera and take one above, or choose a sample."
NO_TIMELINE = "This view opens with a video: choose 'Video' above and put one in."
SMOOTHING_HELP = "The One-Euro filter that `python -m zoo video` uses as well."
TIMELINE = (
    f"The first {CLIP_FRAMES} frames; the face is found once and then followed by its own points. Confidence: the mean of the points' "
    "scores; a gap is where no face was found. Trembling: the noise that second differences of the points tell of, in % of the eye "
    "distance; smooth motion hardly counts."
)
NO_VIDEO = f"**No video yet.** Put one into the box above; up to {KEPT_FRAMES} frames of it can then be looked through."
SCHEMES_HELP = "106 of JD-landmark, 98 of WFLW, or 68 of 300-W (approximate)"
KERNELS_HELP = "Off leaves every operator to the interpreter's own kernels"
SINGLE_PIXELS = "Every square is one pixel of your picture; the rings' middles are the points, to a fraction of it."
DRAWN = "These weights learnt from photographs: the error on a drawing says less than the published one."
APART = "Distances between the two, in pixels of your picture and in % of the distance between the outer eye corners."
SCATTER = "The larger the mark, the larger the file; a line joins the precisions of one training. Drag to move, scroll to zoom."
UNSTEADY = ":material/warning: This machine is busy with something else: its times spread widely. Time the files again when it rests."
FIGURES = "Errors come from the cards, in % of the eye distance."
DRIFT = "Dashed: what the network sees. Arrows: from the undisturbed points to where they are now. Drift is in % of the eye distance."


def side_notes(single_pixels: bool, drawn: bool) -> list[str]:
    """Returns what stands under pictures that are seen pixel by pixel, or are drawings."""
    return [text for text, holds in ((SINGLE_PIXELS, single_pixels), (DRAWN, drawn)) if holds]


def heading(file: ModelFile, colour: str, best: Sequence[str] = ()) -> str:
    """Returns the HTML that names a file: its colour, its weights, tag and precision, and what it is best at."""
    variant, _, tag = file.name.rpartition(".")
    tags = "".join(f'<span class="zoo-tag">{escape(text)}</span>' for text in (file.precision, tag))
    praise = "".join(f'<span class="zoo-best">{escape(text)}</span>' for text in best)
    name = f'<div class="zoo-name"><i style="background:{colour}"></i>{escape(variant)}</div>'
    return f'{name}<div class="zoo-tags">{tags}{praise}</div>'


def facts(rows: Mapping[str, str]) -> str:
    """Returns HTML with a line for each fact: its name on the left, its value on the right."""
    return '<dl class="zoo-facts">' + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows.items()) + "</dl>"


def file_facts(
    file: ModelFile, finding: Finding, times_ms: Sequence[float], row: Mapping[str, Any], source: str, truth: np.ndarray | None
) -> str:
    """Returns the facts under a column: time here, size, published error, and the error or the scores on this very face."""
    timed = percentiles_ms(times_ms)
    rows = {
        "Time here, median": f"{timed[0]:.2f} ms (p90 {timed[1]:.2f})" if timed else f"{finding.forward_ms:.2f} ms",
        "File": f"{file.kilobytes:,.0f} KB",
        "Published NME": f"{row['NME %']:.2f} % ({source})" if row.get("NME %") is not None else "not measured",
        "Mean score here": f"{float(finding.scores.mean()):.2f}",
    }
    if truth is not None:
        rows["Error on this drawing"] = f"{float(drift_percent(finding.points, truth).mean()):.2f} %"
    return facts(rows)


def verdict(found: Verdict) -> str:
    """Returns the best choice within a budget as Markdown, or why there is none."""
    if found.row is None:
        return f"**Nothing fits.** {found.reason}"
    row = found.row
    time = f"{row['p50 ms here']:.2f} ms on this machine, " if row.get("p50 ms here") is not None else ""
    use = "" if row.get("tag") != "research" else " Its weights are for non-commercial research only."
    count = f"{found.fitting} file{'s fit' if found.fitting != 1 else ' fits'}"
    figures = f"{row['NME %']:.2f} % NME, {time}{row['MB']:.2f} MB"
    return f"**{row['file']}**: {figures}. The most exact of what fits ({count}), and of those as exact the quickest.{use}"


def drift_facts(drift_percent: np.ndarray, scores: np.ndarray) -> str:
    """Returns the facts under a disturbed column: drift (106,) in % of the eye distance, and how sure the network still is."""
    mean, most = float(drift_percent.mean()), float(drift_percent.max())
    return facts({"Mean drift": f"{mean:.2f} %", "Largest drift": f"{most:.1f} %", "Mean score": f"{float(scores.mean()):.2f}"})


def model_facts(file: ModelFile, card: Mapping[str, Any]) -> str:
    """Returns the facts of one file to take along: size, digest, size of its input, and what its weights may be used for."""
    digest = card.get("files", {}).get(file.path.name, {}).get("sha256", "not in the card")
    use = "non-commercial research only" if card.get("tag") == "research" else "commercial use as well; credit the card's data sets"
    size = f"{card.get('input_px', '?')} x {card.get('input_px', '?')} px RGB in, {card.get('points', '?')} points out"
    return facts({"Size": f"{file.path.stat().st_size:,} bytes", "Input": size, "Weights are for": use, "SHA-256": digest})


def timing(threads: int, xnnpack: bool) -> str:
    """Returns how the times here were taken."""
    kernels = "XNNPACK" if xnnpack else "the interpreter's own kernels"
    return f"Times are of the network alone: {counted(threads, 'thread')}, {kernels}, all files in turns."


def no_curves(source: str) -> str:
    """Returns why no error curve is shown."""
    return f"No card has the single faces' errors on {source}. Its AUC and FR, the curve's area and end, are in the table above."


def refusal(error: ZooError) -> str:
    """Returns one sentence or two of Markdown about what could not be used."""
    text = " ".join(str(error).split()).replace("[", "\\[").replace("*", "\\*").replace("`", "'")
    return f"**This cannot be used.** {text[:1].upper()}{text[1:]}."


@contextlib.contextmanager
def refusals_shown(show: Callable[..., object]) -> Iterator[None]:
    """Shows what cannot be used as a sentence in the page's own way, wherever it is found out; nobody sees a stack trace."""
    try:
        yield
    except ZooError as error:
        show(refusal(error), icon=":material/error:")


def to_click(names: Sequence[str], done: int) -> str:
    """Returns which of the five points comes next."""
    return (
        "All five points are set."
        if done == len(names)
        else f"Click the **{names[done].lower()}** ({done + 1} of {len(names)}), left as seen."
    )


def counted(number: int, thing: str) -> str:
    """Returns "1 face", "2 faces"."""
    return f"{number} {thing}{'s' * (number != 1)}"
