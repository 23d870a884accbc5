import json
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).resolve().parents[3] / "../shared/vectors/statistics.json"


@pytest.fixture(scope="session")
def vectors() -> Any:
    """Reference values computed with scipy, statsmodels, confseq and R."""
    if not VECTORS.exists():
        pytest.skip("the shared reference values are not beside this checkout")
    return json.loads(VECTORS.read_text(encoding="utf-8"))
