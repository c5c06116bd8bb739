"""Each row of the requirements has a proof that exists: a rule that the contract checks, or a test that is in its file."""

from __future__ import annotations

import re

import pytest

from tests.ecs.contract import RULES
from tests.ecs.requirements import ROWS, WAITING
from tests.ecs.stacks import FOLDER

ROOT = FOLDER.parent
PROOFS = [(f"{section}: {row}", proof) for section, rows in ROWS.items() for row, proofs in rows.items() for proof in proofs]


def exists(proof: str) -> bool:
    if proof.startswith("RULE "):
        return proof.removeprefix("RULE ") in RULES
    file, _, test = proof.partition("::")
    return (ROOT / file).is_file() and re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize(("row", "proof"), PROOFS, ids=[f"{row} | {proof}" for row, proof in PROOFS])
def test_a_row_is_proven_by_something_that_exists(row: str, proof: str) -> None:
    assert exists(proof)


def test_every_row_has_a_proof_or_waits_for_a_reason() -> None:
    """66 rows: as many as the tables of the requirements have, the log format as one."""
    rows = [f"{section}: {row}" for section, entries in ROWS.items() for row in entries]
    assert [f"{section}: {row}" for section, entries in ROWS.items() for row, proofs in entries.items() if not proofs] == []
    assert len({*rows, *WAITING}) == len(rows) + len(WAITING) == 66


@pytest.mark.parametrize(
    "proof", ["RULE no_such_rule", "tests/ecs/test_moto.py::test_no_such_test", "tests/no_such_file.py::test_a"]
)
def test_a_proof_that_does_not_exist_would_be_seen(proof: str) -> None:
    assert not exists(proof)
