from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from filed_job import TOML, read_job

from evalsvc import jobfile
from evalsvc.errors import JobError
from evalsvc.jobfile.document import document_of, job_in

EXAMPLES = sorted(Path(__file__).resolve().parents[3].glob("examples/*/job.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("limit", [None, 5])
def test_it_hashes_to_the_spec_and_holds_the_job(path: Path, limit: int | None) -> None:
    file = jobfile.read(path, limit=limit)
    document = document_of(file)
    assert sha256(document.encode()).hexdigest() == file.job.spec_sha256
    assert job_in(document) == file.job
    assert json.loads(document)["files"] == file.sha256


def test_any_change_of_it_is_another_job(tmp_path: Path) -> None:
    file = read_job(tmp_path, TOML.replace("[gates.human", "[gates.exact_match]\nthreshold = 0.5\n[gates.human"))
    document = document_of(file)
    changed = document.replace('"threshold":0.5', '"threshold":0.4')
    assert job_in(document) == file.job
    assert changed != document
    assert job_in(changed).spec_sha256 != file.job.spec_sha256
    assert {gate.name: gate.threshold for gate in job_in(changed).gates}["exact_match"] == 0.4


@pytest.mark.parametrize("document", ["", "{", "[]", "{}", '{"job": 3, "files": {}, "limit": null}', '{"job": {}}'])
def test_what_is_no_document(document: str) -> None:
    with pytest.raises(JobError, match="filed"):
        job_in(document)
