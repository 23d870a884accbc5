"""What becomes of the data files of others: each is read, or refused with a reason; nothing else may happen.

``formats.py FOLDER ...`` looks at every .jsonl, .json, .csv, .tsv, .yaml, .yml and .parquet file below; a file of the
same name in a folder ``possible_answer`` is taken as its answers (BFCL). Exits with 1 when a file did neither.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from time import perf_counter

from evalsvc.core.records import Role, SuiteSpec
from evalsvc.errors import JobError
from evalsvc.suites import read_suite
from evalsvc.suites.reading import WITH_ANSWERS, detect

ENDINGS = {".jsonl", ".json", ".csv", ".tsv", ".yaml", ".yml", ".parquet"}
ANSWERS = "possible_answer"


def answers_of(path: Path) -> tuple[Path, str] | None:
    """The file of answers that belongs to one of questions."""
    for folder in (path.parent, path.parent.parent):
        found = folder / ANSWERS / path.name
        if found.is_file():
            return found, f"{ANSWERS}/{path.name}"
    return None


def read(path: Path) -> tuple[str, int]:
    """The format a file is read in, and its cases. Raises JobError."""
    spec = SuiteSpec(name="s", role=Role.TARGET, dataset=path.name, format="auto", scorers=())
    name = detect(path, spec, name_for_errors=path.name)
    answers = answers_of(path) if name in WITH_ANSWERS else None
    return name, sum(1 for _ in read_suite(path, spec, name_for_errors=path.name, answers=answers))


def reason(error: JobError) -> str:
    """What is wrong, without what is of this file alone."""
    said = re.sub(r'"[^"]*"|\b\d+\b', "…", error.message)
    return f"{(error.key or '').partition('.')[0].partition('[')[0]}: {said}"[:90]


def main(folders: list[str]) -> int:
    files = sorted(
        path
        for folder in folders
        for path in Path(folder).rglob("*")
        if path.suffix in ENDINGS and path.is_file() and ANSWERS not in path.parts
    )
    formats, cases, refused, faults = Counter[str](), Counter[str](), defaultdict[str, list[Path]](list), 0
    begun = perf_counter()
    for path in files:
        try:
            name, count = read(path)
        except JobError as error:
            refused[reason(error)].append(path)
        except Exception as error:  # noqa: BLE001 - what is looked for
            faults += 1
            print(f"FAULT {path}: {error!r}")
        else:
            formats[name] += 1
            cases[name] += count
    print(f"{len(files):,} files in {perf_counter() - begun:.0f} s: {sum(formats.values()):,} read")
    for name, count in formats.most_common():
        print(f"{count:>6,}  {name} ({cases[name]:,} cases)")
    print(f"{sum(map(len, refused.values())):,} refused")
    for said, paths in sorted(refused.items(), key=lambda each: -len(each[1])):
        print(f"{len(paths):>6,}  {said}  ({paths[0].name})")
    print(f"{faults} neither")
    return min(1, faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
