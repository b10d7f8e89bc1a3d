"""What a name means, to every command alike: published weights, a run, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo import cards
from zoo.errors import ZooError, unknown
from zoo.variants import DEFAULT_TAG, names, split_tag

RUNS = Path("runs")  # where training leaves its runs, seen from where a command is run
# What computes in a precision, the first that a run has.
_OF_RUNS = {"int8": ("int8.tflite",), "float32": ("float16.tflite", "float32.tflite")}


@dataclass(frozen=True)
class Found:
    """What a name stands for.

    Attributes:
      kind: "published", "run" or "file".
      name: `variant.tag` of published weights, the name of a run's folder, or the file's path.
      path: the folder of the first two, or the file.
      precision: what was asked for behind a colon, a key of `zoo.cards.FILES`; None where nothing was.
    """

    kind: str
    name: str
    path: Path
    precision: str | None = None

    def file(self, precision: str = "int8") -> Path:
        """Returns the .tflite file that computes in `precision`, if none was asked for in the name; a file is itself.

        Raises:
          ZooError: there is no such precision, or a run was not exported in it.
        """
        precision = self.precision or precision
        if precision not in cards.FILES:
            raise unknown("precision", precision, cards.FILES)
        if self.kind == "file":
            return self.path
        if self.kind == "published":
            return cards.model_path(self.name, precision)
        path = next((self.path / name for name in _OF_RUNS[precision] if (self.path / name).is_file()), None)
        if path is None:
            raise ZooError(f"the run {self.name} has no {precision} file yet: python -m tflite export {self.name}")
        return path

    def files(self) -> dict[str, Path]:
        """Returns every .tflite file by what it computes in, or the one that was asked for; a file by its stem.

        Raises:
          ZooError: a run was not exported at all.
        """
        if self.kind == "file":
            return {self.path.stem: self.path}
        if self.precision:
            return {self.precision: self.file()}
        if self.kind == "published":
            return {precision: cards.model_path(self.name, precision) for precision in cards.FILES}
        found = {precision: [self.path / name for name in some if (self.path / name).is_file()] for precision, some in _OF_RUNS.items()}
        return {precision: some[0] for precision, some in found.items() if some} or {"int8": self.file("int8")}


def look_up(given: str) -> Found:
    """Returns what a name stands for.

    A variant stands for its published weights, of the tag `open` unless another is given; anything else for the run of this name or
    path, or for the file. `:int8` or `:float32` behind it asks for the file that computes so.

    Raises:
      ZooError: it is none of these, or published weights and a run have this name both.
    """
    name, _, precision = given.rpartition(":")
    if not name or precision not in cards.FILES:
        name, precision = given, None
    if name.endswith(".tflite") or Path(name).is_file():
        if not Path(name).is_file():
            raise ZooError(f"there is no file {name!r}")
        return Found("file", name, Path(name), precision)
    run, (variant, _, tag) = find_run(name), name.partition(".")
    published = f"{variant}.{tag or DEFAULT_TAG}" if variant in names() else None
    if run is not None and published in cards.published():
        raise ZooError(f"{name!r} is published and a run as well: rename the run")
    if run is not None:
        return Found("run", run.name, run, precision)
    if published is not None:
        return Found("published", published_name(name), cards.weights_folder(published), precision)
    before, _, asked = given.rpartition(":")
    if before and (before.partition(".")[0] in names() or find_run(before)):
        raise unknown("precision", asked, cards.FILES)
    raise unknown("file, run or published weights", given, [*cards.published(), *_runs()])


def published_name(given: str) -> str:
    """Returns the name `variant.tag` of published weights given as `variant` or `variant.tag`.

    Raises:
      ZooError: there is no such variant or tag, or nothing is published under it; what is there of the variant is named.
    """
    variant, tag = split_tag(given)
    name = f"{variant}.{tag}"
    if name in cards.published():
        return name
    others = [other for other in cards.published() if other.startswith(f"{variant}.")]
    if others:
        raise ZooError(f"{name} is not published (a variant alone means .{DEFAULT_TAG}); of {variant} there is {', '.join(others)}")
    raise ZooError(f"{name} is not published; published: {', '.join(cards.published()) or 'none'}")


def find_run(name: str) -> Path | None:
    """Returns the folder of a run given by its path or by its name under `runs/`, or None where there is none."""
    return next((folder for folder in (Path(name), RUNS / name) if (folder / "config.json").is_file()), None)


def run_folder(name: str) -> Path:
    """Returns the folder of a run given by its name under `runs/` or by its path; a ZooError lists the runs there are."""
    folder = find_run(name)
    if folder is not None:
        return folder
    raise ZooError(f"there is no run {name!r}; runs here: {', '.join(_runs()) or 'none'}")


def _runs() -> list[str]:
    return sorted(path.parent.name for path in RUNS.glob("*/config.json"))
