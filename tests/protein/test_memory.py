"""Long backbones fit a small machine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from pathlib import Path
from helicell.protein import SamplingOptions, generate, load_model

(backbone,) = generate(load_model(device="cpu"), 1000, count=1, options=SamplingOptions(steps=2))
assert backbone.coordinates.shape == (1000, 4, 3)
print(Path("/proc/self/status").read_text())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone tells the peak this way")
def test_a_thousand_residues_in_less_than_four_gigabytes() -> None:
    """The most memory that a process which makes such a backbone ever held; its code and its libraries count too."""
    told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    assert int(re.search(r"VmHWM:\s+(\d+) kB", told)[1]) < 4 * 2**20
