"""Every Python block of the README and of docs/ runs, and every link within the project leads on.

A block is run by itself, in an empty folder. It finds the few names that the text takes for
granted (``examples`` below) and imports everything else. All trainings are cut to two epochs: what
is tested is that the code of the pages works, not what it learns.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from skorch import NeuralNet

from sklearn_degu.datasets import make_mpra

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXPECTED_OUTPUT = re.compile(r"^print\(.*\)  # (.+)$", re.MULTILINE)


def python_blocks():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            line = text[: match.start()].count("\n") + 1
            yield pytest.param(match[1], id=f"{page.name}:{line}")


def commands(text):
    """Return the shell commands of a text that stand behind a marker, by marker."""
    return dict(re.findall(r"^<!-- (\w+) -->\n```sh\n(.+)\n```$", text, re.MULTILINE))


@pytest.fixture
def examples():
    """Return the names that the pages use without defining them."""
    rng = np.random.default_rng(0)
    known, new = (make_mpra(n, seq_len=60, random_state=seed) for seed, n in ((0, 60), (1, 20)))
    X = rng.normal(size=(60, 5))
    return {
        "X": X,
        "y": X[:, 0] + rng.normal(size=60),
        "X_new": rng.normal(size=(20, 5)),
        "replicates": X[:, :1] + rng.normal(size=(60, 3)),
        "sequences": known.sequences,
        "activity": known.y,
        "chromosomes": np.resize(["chr1", "chr2", "chr8"], 60),
        "new_sequences": new.sequences,
        "new_activity": new.y,
    }


@pytest.fixture
def two_epochs(monkeypatch):
    fit_loop = NeuralNet.fit_loop
    monkeypatch.setattr(
        NeuralNet, "fit_loop", lambda net, X, y=None, **params: fit_loop(net, X, y, epochs=2)
    )


@pytest.mark.usefixtures("two_epochs")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("code", list(python_blocks()))
def test_python_block_runs(code, examples, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "documentation", "exec"), {"__name__": "documentation", **examples})
    printed = capsys.readouterr().out.splitlines()
    missing = [line for line in EXPECTED_OUTPUT.findall(code) if line not in printed]
    assert not missing, f"printed {printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_readme_commands_install_the_torch_that_ci_installs():
    pin = re.compile(r"torch==[\d.]+")
    readme = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert set(readme) == {"quickstart", "tests"}
    assert {pin.search(command)[0] for command in readme.values()} == {pin.search(ci)[0]}
