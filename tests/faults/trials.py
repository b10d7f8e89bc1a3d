"""`python tests/faults/trials.py`: kills every writer and mutates every format as often as promised, and writes docs/faults.md.

The tests beside it do the same, a few times each; with FAULTS=full in the environment as often as here.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from formats import FORMATS, Format  # noqa: E402
from writers import WRITERS, Writer  # noqa: E402

from zoo.errors import ZooError  # noqa: E402
from zoo.files import write_whole  # noqa: E402
from zoo.terminal import markdown_table  # noqa: E402

KILLS, MUTATIONS, MOST_MB, SEED = 20, 200, 1000, 2026
FULL = os.environ.get("FAULTS") == "full"
_WITHIN_S = 0.15  # of beginning to write: when a kill comes
_fork = multiprocessing.get_context("fork")


def kill(writer: Writer, folder: Path, times: int, seed: int = SEED) -> Counter:
    """Kills a process that writes one version after another, at random moments; returns how often what was there was old or new.

    Raises:
      AssertionError: what is there is not one whole version, or something else is left once the next version is written.
    """
    chance, found = random.Random(seed), Counter()
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


def mutate(form: Format, folder: Path, times: int, seed: int = SEED) -> Counter:
    """Opens a file with bytes changed or cut off, over and over, in a process of its own; returns how often it was read or refused.

    Raises:
      AssertionError: anything but a ZooError of one line came out, the process ended, or it took more than `MOST_MB`.
    """
    path = form.make(folder)
    form_content = path.read_bytes()
    receive, send = _fork.Pipe(duplex=False)
    process = _fork.Process(target=_open_on, args=(form, path, form_content, times, seed, send))
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


def _open_on(form: Format, path: Path, content: bytes, times: int, seed: int, send: object) -> None:
    found, fault = Counter(), ""
    for trial in range(times):
        send.send(trial)
        path.write_bytes(mutated(content, random.Random(f"{seed} {trial}")))
        try:
            form.read(path)
            found["read"] += 1
        except ZooError as error:
            found["refused"] += 1
            fault = f"more than one line: {error}" if "\n" in str(error) else ""
        except BaseException as error:
            fault = f"{type(error).__name__}: {error}"
        if fault:
            break
    send.send((found, fault, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Returns the content with 1 to 8 bytes changed, mostly near its ends, where headers lie; one in eight is cut as well."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        near = min(len(changed), chance.choice((64, 512, 4096, len(changed))))
        at = chance.randrange(near) if chance.random() < 0.7 else len(changed) - 1 - chance.randrange(near)
        changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, changed[at] ^ (1 << chance.randrange(8)), chance.randrange(256)))
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 1 / 8 else changed)


def trials(run: Callable[[object, Path, int], Counter], things: dict, times: int) -> list[dict]:
    """Returns a row for each thing: how often it was tried, with what result."""
    rows = []
    for name, thing in things.items():
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            began = time.monotonic()
            found = run(thing, Path(folder), times)
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
