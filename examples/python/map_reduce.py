"""Map-reduce: counts the words of files, with a shuffle of refs between the two phases."""

from __future__ import annotations

import argparse
import re
import sys
import sysconfig
import zlib
from collections import Counter
from pathlib import Path

import mobula

WORD = re.compile(r"[a-z_]+")


@mobula.remote
def map_files(paths: list[str], parts: int) -> list[Counter[str]]:
    """Counts the words of some files, split into parts by the hash of the word."""
    counts: list[Counter[str]] = [Counter() for _ in range(parts)]
    for path in paths:
        for word in WORD.findall(Path(path).read_text(errors="replace").lower()):
            counts[zlib.crc32(word.encode()) % parts][word] += 1
    return counts


@mobula.remote
def reduce_part(*counts: Counter[str]) -> Counter[str]:
    """Adds up the counts of one part."""
    return sum(counts, Counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path(sysconfig.get_paths()["stdlib"]) / "json")
    parser.add_argument("--maps", type=int, default=4)
    parser.add_argument("--parts", type=int, default=3)
    args = parser.parse_args()
    files = sorted(str(path) for path in args.directory.rglob("*.py"))
    if not files:
        sys.exit(f"no Python files below {args.directory}")
    with mobula.init():
        mapped = [map_files.options(num_returns=args.parts).remote(files[i :: args.maps], args.parts) for i in range(args.maps)]
        reduced = [reduce_part.remote(*[refs[part] for refs in mapped]) for part in range(args.parts)]
        words: Counter[str] = sum(mobula.get(reduced), Counter())
    for word, count in words.most_common(5):
        print(f"{count:7} {word}")
    print(f"{len(files)} files, {len(words)} words, {words.total()} in all")


if __name__ == "__main__":
    main()
