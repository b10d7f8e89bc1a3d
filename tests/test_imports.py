"""What may import what, and which names stand in one place only: read from the source, without running it."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tflite.__main__ import VERBS as tflite_verbs
from training.__main__ import VERBS as training_verbs

ROOT = Path(__file__).parent.parent
PACKAGES = ("zoo", "training", "tflite", "demo")
# The rooms, and which others each may import: zoo <- training <- tflite, zoo <- demo, and within the two the floors from below upwards.
# The files that lie in `training` or `tflite` themselves are the roof: command lines, which may ask every room.
_TRAINING = {
    "training.readers": {"zoo"},
    "training.data": {"zoo", "training.readers"},
    "training.teacher": {"zoo", "training.readers", "training.data"},
    "training.synthetic": {"zoo", "training.readers", "training.data"},
}
for _floor in ("learning", "evaluation", "studies"):
    _TRAINING[f"training.{_floor}"] = {"zoo", *_TRAINING}
_TFLITE: dict[str, set[str]] = {}
for _floor in ("export", "measure", "publish"):
    _TFLITE[f"tflite.{_floor}"] = {"zoo", *_TRAINING, *_TFLITE}
ALLOWED = {
    "zoo": set(), **_TRAINING, "training": {"zoo", *_TRAINING}, **_TFLITE, "tflite": {"zoo", *_TRAINING, *_TFLITE},
    "demo": {"zoo", "tflite.measure"},
}  # fmt: skip
ROOF = {"training/__init__.py", "training/__main__.py", "training/describe.py", "tflite/__init__.py", "tflite/__main__.py"}
# The sample pictures are faces that the project draws itself.
EXCEPTIONS = {("demo/samples.py", "training.synthetic.faces")}
TENSORFLOW = {"tensorflow", "tensorflow_model_optimization"}
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imports(tree, module=""):
    """Yields (module, whether it stands inside a function) for every import; `from a import b` gives a and a.b."""
    lazy = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative imports are not used here"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from ((name, id(node) in lazy) for name in names)


def users(is_it):
    """Returns the files with an import for which `is_it(module, lazy)` holds."""
    return {file for file, tree in TREES.items() if any(is_it(name, lazy) for name, lazy in imports(tree, file))}


def attributes(name):
    """Returns the files that use an attribute or a name."""
    return {
        file
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == name) or (isinstance(node, ast.Name) and node.id == name)
    }


def module_of(file):
    return ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in TREES}


def room_of(file):
    parts = Path(file).parts
    return ".".join(parts[:2]) if parts[0] in ("training", "tflite") and len(parts) > 2 else parts[0]


def imported(file):
    """Returns the modules of our own that a file imports, inside functions too; `from a import b` is a.b where that is a module, else a."""
    found = set()
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in MODULES else node.module for full in whole.values()}
    return {name for name in found if name.partition(".")[0] in PACKAGES} - {module_of(file)}


@pytest.mark.parametrize("file", TREES)
def test_imports_follow_the_arrow(file):
    for name in imported(file):
        assert name in MODULES, f"{file} imports {name}, which there is not"
        room = room_of(MODULES[name])
        assert room == room_of(file) or room in ALLOWED[room_of(file)] or (file, name) in EXCEPTIONS, f"{file} imports {name}"


def test_every_file_lies_in_a_room():
    assert {room_of(file) for file in TREES} == set(ALLOWED)
    assert {file for file in TREES if room_of(file) in ("training", "tflite")} == ROOF


def test_no_imports_go_in_a_circle():
    graph = {name: imported(file) for name, file in MODULES.items()}
    while free := {name for name, needs in graph.items() if not needs & graph.keys()}:
        graph = {name: needs for name, needs in graph.items() if name not in free}
    assert not graph, f"these import one another: {sorted(graph)}"


@pytest.mark.parametrize("table", [training_verbs, tflite_verbs])
def test_every_verb_is_a_module_that_declares_its_arguments(table):
    for name, _ in table.values():
        declared = {node.name for node in TREES[MODULES[name]].body if isinstance(node, ast.FunctionDef)}
        assert {"add_arguments", "main"} <= declared, name


def test_zoo_imports_others_than_numpy_and_opencv_only_inside_functions():
    known = {"numpy", "cv2", "zoo"} | set(sys.stdlib_module_names)
    for file, tree in TREES.items():
        if file.startswith("zoo/"):
            heavy = {name for name, lazy in imports(tree) if not lazy and name.partition(".")[0] not in known}
            assert not heavy, f"{file} imports {heavy} at its top"


# What a distribution is imported as, where that is another name; flatbuffers comes with ai-edge-litert.
IMPORTED_AS = {
    "opencv-python-headless": {"cv2"}, "ai-edge-litert": {"ai_edge_litert", "flatbuffers"}, "pillow": {"PIL"},
    "pillow-heif": {"pillow_heif"},
}  # fmt: skip


def test_zoo_imports_nothing_that_the_package_does_not_ask_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    names = {re.match(r"[\w-]+", line)[0] for line in asked}
    possible = set().union(*(IMPORTED_AS.get(name, {name.replace("-", "_")}) for name in names))
    for file, tree in TREES.items():
        if file.startswith("zoo/"):
            found = {name.partition(".")[0] for name, _ in imports(tree)} - set(sys.stdlib_module_names) - {"zoo"}
            assert found <= possible, f"{file} imports {found - possible}"


def test_tensorflow_is_imported_in_three_files_only():
    found = users(lambda name, lazy: name.partition(".")[0] in TENSORFLOW)
    assert found == {"training/learning/qat.py", "tflite/export/convert.py", "zoo/nets/layers.py"}
    at_top = users(lambda name, lazy: name.partition(".")[0] in TENSORFLOW and not lazy)
    assert at_top <= {"training/learning/qat.py"}


def test_streamlit_is_imported_in_the_demos_page_only():
    assert users(lambda name, lazy: name.partition(".")[0] == "streamlit") <= {"demo/app.py"}


def test_keras_is_never_reached_through_tensorflow():
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            reached = isinstance(node, ast.Attribute) and node.attr == "keras" and isinstance(node.value, ast.Name)
            assert not (reached and node.value.id in ("tf", "tensorflow")), f"{file} line {node.lineno}"
        assert not any(name.startswith("tensorflow.keras") for name, _ in imports(tree)), file


def test_pictures_are_warped_in_one_place_only():
    assert attributes("warpAffine") == {"zoo/alignment.py"}
    calls = [node for node in ast.walk(TREES["zoo/alignment.py"]) if isinstance(node, ast.Attribute) and node.attr == "warpAffine"]
    assert len(calls) == 1


def test_pickles_are_never_read_and_code_is_never_evaluated():
    for file, tree in TREES.items():
        names = {name.partition(".")[0] for name, _ in imports(tree)}
        # The recognition benchmarks' .bin files are pickles: they are read by an unpickler that knows plain values alone (test_pairs.py).
        allowed = {"pickle"} if file == "training/studies/pairs.py" else set()
        assert not names & {"pickle", "dill", "joblib", "shelve"} - allowed, file
        if allowed:
            calls = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
            loaders = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "pickle"}
            assert loaders == {"Unpickler", "UnpicklingError"} and "find_class" in calls
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert getattr(node.func, "id", "") not in ("eval", "exec"), f"{file} line {node.lineno}"
                pickled = [k for k in node.keywords if k.arg == "allow_pickle" and getattr(k.value, "value", None) is not False]
                assert not pickled, f"{file} line {node.lineno}"


def test_no_module_bears_the_name_of_one_in_the_standard_library_or_says_nothing():
    names = {part for file in TREES for part in Path(file).with_suffix("").parts} - {"__init__", "__main__"}
    assert not names & set(sys.stdlib_module_names)
    assert not {name for name in names if name in ("util", "common", "misc", "helpers") or name.endswith("utils")}


def test_every_module_says_what_it_is_for():
    assert not [file for file, tree in TREES.items() if not ast.get_docstring(tree)]
