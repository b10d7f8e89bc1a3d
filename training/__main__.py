"""`python -m training`: how weights come to be."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from zoo import terminal

_VERBS = {
    "data": "say what a source holds, and draw it",
    "label": "mark unlabelled pictures with a teacher's points",
    "fit": "train a float network",
    "quantize": "go on with quantisation-aware training",
    "evaluate": "measure weights on labelled pictures",
    "study": "answer one of the paper's questions with numbers of our own",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; its module is imported only then."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train landmark networks, on synthetic faces or on your own.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    wanted = next((word for word in (sys.argv[1:] if argv is None else argv) if word in _VERBS), None)
    for verb, meaning in _VERBS.items():
        sub = verbs.add_parser(verb, help=meaning, description=meaning.capitalize() + ".")
        if verb == wanted:
            module = importlib.import_module(f"training.{verb}")
            module.add_arguments(sub)
            sub.set_defaults(handler=module.main)
    args = parser.parse_args(argv)
    return args.handler(args)


if __name__ == "__main__":
    sys.exit(terminal.run(main))
