"""`python -m training`: how weights come to be."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from zoo import terminal

VERBS = {  # module with add_arguments(parser) and main(args), and what it does
    "data": ("training.describe", "say what a source holds, and draw it"),
    "label": ("training.teacher.label", "mark unlabelled pictures with a teacher's points"),
    "fit": ("training.learning.fit", "train a float network"),
    "quantize": ("training.learning.quantize", "go on with quantisation-aware training"),
    "evaluate": ("training.evaluation.evaluate", "measure weights on labelled pictures"),
    "calibrate": ("training.evaluation.calibrate", "fit how sure a file is of each point, and say what that is worth"),
    "study": ("training.studies.study", "answer one of the paper's questions with numbers of our own"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; its module is imported only then."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train landmark networks, on synthetic faces or on your own.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    wanted = next((word for word in (sys.argv[1:] if argv is None else argv) if word in VERBS), None)
    for verb, (module_name, meaning) in VERBS.items():
        sub = verbs.add_parser(verb, help=meaning, description=meaning.capitalize() + ".")
        if verb == wanted:
            module = importlib.import_module(module_name)
            module.add_arguments(sub)
            sub.set_defaults(handler=module.main)
    args = parser.parse_args(argv)
    return args.handler(args)


if __name__ == "__main__":
    sys.exit(terminal.run(main))
