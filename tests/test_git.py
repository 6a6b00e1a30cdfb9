"""Git works without the environment and without hooks, and the opt-in merge driver merges notebooks cell by
cell."""
import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (shutil.which("git") and shutil.which("make")),
                                reason="needs git and make")


def notebook(*sources): return json.dumps(dict(metadata={}, nbformat=4, nbformat_minor=5, cells=[
    dict(cell_type="markdown", id=f"c{i}", metadata={}, source=[s]) for i, s in enumerate(sources)]),
                                          indent=1) + "\n"


class Repo:
    """A little repository with our git files and one notebook, changed on two branches; git sees no user
    settings and no environment."""
    def __init__(self, path):
        self.path = path
        bare = os.pathsep.join(str(Path(shutil.which(x)).parent) for x in ("git", "sh", "make"))
        self.env = dict(PATH=bare, HOME=str(path), GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull,
                        **{f"GIT_{who}_{what}": "a@example.org"
                           for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")})
        for name in (".gitattributes", ".gitconfig", "Makefile",
                     "settings.ini", "setup.py", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT/name, path)
        self("git", "init", "-q", "-b", "main")
        self.commit("first", "second", "third")

    def __call__(self, *command):
        return subprocess.run(command, cwd=self.path, env=self.env, capture_output=True, text=True)

    def commit(self, *sources):
        (self.path/"a.ipynb").write_text(notebook(*sources))
        self("git", "add", "-A"); self("git", "commit", "-q", "-m", "x")

    def merge(self, ours, theirs):
        "Merge a branch whose notebook has the cells `theirs` into one that has `ours`."
        self("git", "checkout", "-q", "-b", "theirs"); self.commit(*theirs)
        self("git", "checkout", "-q", "main"); self.commit(*ours)
        return self("git", "merge", "theirs")

    def cells(self):
        return ["".join(c["source"]) for c in json.loads((self.path/"a.ipynb").read_text())["cells"]]


@pytest.fixture
def repo(tmp_path): return Repo(tmp_path)


@pytest.mark.parametrize("hooks", [False, True])
def test_git_needs_no_environment(repo, hooks):
    if hooks: assert repo("make", "hooks").returncode == 0
    (repo.path/"a.ipynb").write_text(notebook("first", "2nd", "third"))
    diff = repo("git", "diff")
    assert diff.returncode == 0 and "2nd" in diff.stdout and not diff.stderr
    repo("git", "checkout", "-q", ".")
    assert repo.merge(["FIRST", "second", "third"], ["first", "second", "THIRD"]).returncode == 0
    assert repo.cells() == ["FIRST", "second", "THIRD"]


@pytest.mark.parametrize("hooks", [False, True])
def test_a_conflict_without_environment_is_gits_own(repo, hooks):
    if hooks: repo("make", "hooks")
    assert repo.merge(["first", "ours", "third"], ["first", "theirs", "third"]).returncode == 1
    assert "<<<<<<<" in (repo.path/"a.ipynb").read_text() and "ours" in (repo.path/"a.ipynb").read_text()


def test_with_hooks_a_conflict_is_a_notebook_that_opens(repo):
    (repo.path/".venv/bin").mkdir(parents=True)
    (repo.path/".venv/bin/nbdev-merge").symlink_to(Path(sysconfig.get_path("scripts"))/"nbdev-merge")
    (repo.path/".git/info/exclude").write_text(".venv\n")
    repo("make", "hooks")
    assert repo.merge(["first", "ours", "third"], ["first", "theirs", "third"]).returncode == 1
    cells = repo.cells()
    assert (cells[0] == "first" and cells[-1] == "third"
            and {"ours", "theirs"} < set(cells) and "<<<<<<<" in cells[1])


def test_hooks_can_be_turned_on_twice_and_off_twice(repo):
    include = lambda: repo("git", "config", "--local", "--get-all", "include.path").stdout.split()
    repo("git", "config", "--local", "--add", "include.path", "mine")
    for _ in range(2): assert repo("make", "hooks").returncode == 0 and include() == ["mine", "../.gitconfig"]
    for _ in range(2): assert repo("make", "unhooks").returncode == 0 and include() == ["mine"]
    assert [p.name for p in (repo.path/".git/hooks").glob("*") if p.suffix != ".sample"] == []
