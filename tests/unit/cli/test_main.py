"""The command ``evalsvc`` itself."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from evalsvc.cli.main import evalsvc


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("stats", """No such command 'stats'; did you mean "status"?"""),
        ("Verfy", """No such command 'Verfy'; did you mean "verify"?"""),
        ("zzz", "No such command 'zzz'."),
    ],
)
def test_a_misspelt_command_is_a_usage_error_that_offers_the_nearest(given: str, said: str) -> None:
    ran = CliRunner().invoke(evalsvc, [given])
    assert ran.exit_code == 2
    assert ran.output.splitlines()[-1] == f"Error: {said}"


def test_an_unknown_option_is_refused_as_ever() -> None:
    ran = CliRunner().invoke(evalsvc, ["--repot"])
    assert ran.exit_code == 2
    assert "No such option" in ran.output
    assert "did you mean" not in ran.output
