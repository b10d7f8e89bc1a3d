"""`python tests/faults/trials.py`: kills every writer and mutates every format as often as promised, and writes docs/faults.md.

The tests beside it do the same, a few times each; with FAULTS=full in the environment as often as here.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from formats import FORMATS, open_on  # noqa: E402
from writers import WRITERS, Writer  # noqa: E402

from zoo.files import write_whole  # noqa: E402
from zoo.terminal import markdown_table  # noqa: E402

KILLS, MUTATIONS, MOST_MB, SEED = 20, 200, 1000, 2026
FULL = os.environ.get("FAULTS") == "full"
_WITHIN_S = 0.15  # of beginning to write: when a kill comes
_fork, _spawn = multiprocessing.get_context("fork"), multiprocessing.get_context("spawn")


def kill(name: str, folder: Path, times: int, seed: int = SEED) -> Counter:
    """Kills a process that writes one version after another, at random moments; returns how often what was there was old or new.

    Raises:
      AssertionError: what is there is not one whole version, or something else is left once the next version is written.
    """
    writer, chance, found = WRITERS[name], random.Random(seed), Counter()
    for trial in range(times):
        place = folder / str(trial)
        place.mkdir(parents=True)
        writer.write(place, 1)
        before, kept = writer.read(place), sorted(path.name for path in place.iterdir())
        process = _fork.Process(target=_write_on, args=(writer, place))
        process.start()
        time.sleep(chance.uniform(0.01, _WITHIN_S))
        process.kill()
        process.join()
        found["old" if writer.read(place) == before else "new"] += 1
        writer.write(place, 7)
        writer.read(place)
        left = sorted(path.name for path in place.iterdir())
        assert left == kept, f"{set(left) - set(kept)} is left"
    return found


def _write_on(writer: Writer, place: Path) -> None:
    number = 2
    while True:
        writer.write(place, number)
        number += 1


def mutate(name: str, folder: Path, times: int, seed: int = SEED) -> Counter:
    """Opens a file with bytes changed or cut off, over and over, in a process of its own; returns how often it was read or refused.

    Raises:
      AssertionError: anything but a ZooError of one line came out, the process ended, or it took more than `MOST_MB`.
    """
    receive, send = _spawn.Pipe(duplex=False)
    process = _spawn.Process(target=open_on, args=(name, folder, times, seed, send))
    process.start()
    send.close()
    trial, answer = 0, None
    try:
        while not isinstance(answer, tuple):
            answer = receive.recv()
            trial = answer if isinstance(answer, int) else trial
    except EOFError:
        raise AssertionError(f"mutation {trial} of seed {seed} ended the process") from None
    finally:
        process.join()
    found, fault, peak_mb = answer
    assert not fault, f"mutation {trial} of seed {seed}: {fault}"
    assert peak_mb < MOST_MB, f"it took {peak_mb} MB"
    return found


def trials(run: Callable[[str, Path, int], Counter], names: Iterable[str], times: int) -> list[dict]:
    """Returns a row for each thing: how often it was tried, with what result."""
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            began = time.monotonic()
            found = run(name, Path(folder), times)
            print(f"{name}: {dict(found)} in {time.monotonic() - began:.1f} s", flush=True)
            rows.append({"": name, "times": times} | dict(sorted(found.items())))
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key, 0) for key in keys} for row in rows]


def main() -> None:
    """Writes docs/faults.md."""
    kills, mutations = trials(kill, WRITERS, KILLS), trials(mutate, FORMATS, MUTATIONS)
    write_whole(
        ROOT / "docs" / "faults.md",
        f"""# Faults that were tried

Written by `python tests/faults/trials.py`, which ends with the first fault; the tests beside it repeat it, a few times each in
`make test`, and as often as here with `FAULTS=full`. Seed {SEED}.

## Kills

Every writer is killed (SIGKILL) at a random moment while it writes one version after another. What is there afterwards is one whole
version, the old or a new one, and once the next version is written nothing else is left.

{markdown_table(kills)}

## Damaged files

Of a whole file 1 to 8 bytes are changed, mostly in its headers, and one in eight is cut. It is read, or refused in one line: no other
error comes out, the process does not end, and it takes less than {MOST_MB} MB.

{markdown_table(mutations)}
""",
    )


if __name__ == "__main__":
    main()
