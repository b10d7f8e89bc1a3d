"""The command line of this folder: `python -m tflite export | audit | benchmark | precisions | operators | golden | installation |
publish`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from zoo import terminal

VERBS = {  # module with add_arguments(parser) and main(args), and what it does
    "export": ("tflite.export.convert", "write a trained run's float32, float16 and int8 files"),
    "audit": ("tflite.export.audit", "list what files are made of; fail on anything float, undelegated or custom"),
    "benchmark": ("tflite.measure.benchmark", "time files side by side, each setting in its own process"),
    "precisions": ("tflite.measure.precisions", "one set of weights in five precisions: accuracy, time, bytes and memory in one table"),
    "operators": ("tflite.measure.operators", "time every operator of a file, and say what looks wasted"),
    "golden": ("tflite.export.golden", "write a published picture, its crop, maps and points as a plain file for ports"),
    "installation": ("tflite.measure.installation", "build the package, install it into a fresh environment, and say what that takes"),
    "publish": ("tflite.publish.release", "check a run's files and put them among the weights with their card"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the command line and runs one verb; returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m tflite", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    chosen = argv[0] if argv and argv[0] in VERBS else None
    module = None
    for verb, (module_name, summary) in VERBS.items():
        subparser = verbs.add_parser(verb, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if verb == chosen:  # only the verb that is asked for is imported
            module = importlib.import_module(module_name)
            module.add_arguments(subparser)
    args = parser.parse_args(argv)
    return module.main(args)


if __name__ == "__main__":
    sys.exit(terminal.run(main))
