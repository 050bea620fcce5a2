"""Checks the words of everything that people read: documents, docstrings, comments, messages and names.

`python -m tools.prose [PATH...]` checks the files of the repository, or only these files and folders. It
reports:

- words and phrases of the table `WORDS`, each with what to write instead,
- sentences of docstrings and of Markdown paragraphs with more than 25 words.

Spelling is codespell's, and whether a docstring exists is ruff's (`D`); `make lint` runs all three.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
MAX_WORDS: Final = 25

_WHO: Final = "name the client, the operator, the caller or the function"
_SAY: Final = "write: returns, reports, describes, means, distinguishes"
_KNOW: Final = "code does not know or perceive; write what it reads, holds or compares"
_WHAT: Final = "write what happens, in the field's words"

# A space also matches an underscore, a line break and the marks of a comment or of adjacent strings.
WORDS: Final[Mapping[str, str]] = {
    "(no|some|any|every)body('s)?": _WHO,
    "no one('s)?": _WHO,
    "who(m)?ever": _WHO,
    "(a )?stranger": _WHO,
    "of ours": "write: of this project",
    "our fault": "write: internal error",
    "tell(s|ing)?": _SAY,
    "told": _SAY,
    "hear(s|d|ing)?": _KNOW,
    "sees": _KNOW,
    "looks(?! up)": _KNOW,
    "knows": _KNOW,
    "thinks|believe[sd]?": _KNOW,
    "remembers?": _KNOW,
    "minds?": _KNOW,
    "wants|wishes": "write: needs, requires, or what is configured",
    "forget(s|ting)?|forgot(ten)?": "write: lost, skipped, omitted",
    "see(n|s|ing)? to": "write: processes, handles",
    "the world": "write: publishes an event, notifies clients",
    "house|rooms?": "write: folder, module, layer",
    "lives": "write: is in, is stored in, runs",
    "dies|died|kill(s|ed)? off": "write: ends, exits, is terminated",
    "mood(y|s)?": "write: behavior",
    "anger": _WHAT,
    "signs? of life": "write: backlog, executions",
    "stands? behind": _WHAT,
    "left alone|lea(ve|ves|ving) ([a-z]+ )?alone": "write: is not changed, is skipped",
    "(by|of) (itself|themselves)": "write: automatically, independently, or delete it",
    "warehouses?": "write: fulfillment system",
    "goods": "write: stock, reservation, items",
    "shelf|shelves": "write: stock",
    "settle[sd]?|settling": "write what ends: the final move, an idle system, a final state",
    "in vain": "write: without effect, fails",
    "for good": "write: permanently",
    "anew|once more": "write: again",
    "nothing of": "write: nothing from, no ... of",
    "such an? [a-z]+ (one|that)": "repeat the noun",
    "thereof|whereof|wherefrom|thereby|whereby|hereby": "start a new sentence",
    "so that neither|behind which": "start a new sentence",
    "(hand|give)s? back": "write: returns, releases",
    "(by|at) night": _WHAT,
}

# (path, words as written): why they may stand there.
ALLOWED: Final[Mapping[tuple[str, str], str]] = {
    ("CONTRIBUTING.md", words): "an example of what not to write"
    for words in ("telling", "the world", "tells", "warehouse", "settle")
} | {(".git-blame-ignore-revs", "house"): "the subject of a commit"}

# Legal text, files that name the words, and files that are not read as text.
_SKIPPED: Final = (
    *("LICENSE", "tools/prose.py", "tests/tools/test_prose.py"),
    *("**/requirements*.txt", "**/*.gz", "**/*.png"),
)
_NOT_PROSE: Final = re.compile(r"```.*?```|<!--.*?-->|<svg.*?</svg>", re.DOTALL)
_CODE: Final = re.compile(r"`[^`]+`")  # counts as one word
_LIST_ITEM: Final = re.compile(r"^\s*([-*+]|\d+\.)\s+")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])[\"'`*)\]]*\s+|:\s*\n")


def _compiled(phrase: str) -> re.Pattern[str]:
    between = r"[\s_#>*\"']+"
    return re.compile(rf"(?<![a-z])(?:{phrase.replace(' ', between)})(?![a-z])", re.IGNORECASE)


_PATTERNS: Final = [(_compiled(phrase), instead) for phrase, instead in WORDS.items()]


class Finding(NamedTuple):
    """One line of the report."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        """Format as `path:line: message`, which editors follow."""
        return f"{self.path}:{self.line}: {self.message}"


def check_text(path: str, text: str) -> Iterator[Finding]:
    """Yield all findings in the text of one file; its name decides what counts as a sentence."""
    yield from _words(path, text)
    if path.endswith(".py"):
        yield from _long(path, _docstrings(text))
    elif path.endswith(".md"):
        yield from _long(path, [(1, text)])


def _words(path: str, text: str) -> Iterator[Finding]:
    for pattern, instead in _PATTERNS:
        for match in pattern.finditer(text):
            found = " ".join(match[0].split())
            if (path, found) not in ALLOWED:
                yield Finding(path, text.count("\n", 0, match.start()) + 1, f"“{found}”: {instead}")


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    """The docstrings of a module, with the line that each starts at."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text


def _long(path: str, texts: Iterable[tuple[int, str]]) -> Iterator[Finding]:
    for first_line, text in texts:
        for line, sentence in sentences(text):
            words = [word for word in _CODE.sub("`code`", sentence).split() if re.search(r"\w", word)]
            if len(words) > MAX_WORDS:
                start = " ".join(words[:6])
                message = f"a sentence of {len(words)} words, at most {MAX_WORDS}: “{start} …”"
                yield Finding(path, first_line + line, message)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield the sentences of a docstring or Markdown text, with their line counted from 0.

    A blank line, a heading and a list item end a sentence. Tables and code are skipped.
    """
    blank = _NOT_PROSE.sub(lambda match: "\n" * match[0].count("\n"), text)
    paragraph: list[str] = []
    begun = 0
    for number, line in enumerate([*blank.split("\n"), ""]):
        ends = (
            not line.strip() or line.lstrip().startswith(("|", "#")) or (line[:4].isspace() and not paragraph)
        )
        starts = _LIST_ITEM.match(line)
        if ends or starts:
            yield from _split(begun, "\n".join(paragraph))
            paragraph = []
        if not ends:
            if not paragraph:
                begun = number
            paragraph.append(_LIST_ITEM.sub("", line))


def _split(line: int, paragraph: str) -> Iterator[tuple[int, str]]:
    position = 0
    for end in _SENTENCE_END.finditer(paragraph + "\n"):
        yield line + paragraph.count("\n", 0, position), paragraph[position : end.start()]
        position = end.end()
    if position < len(paragraph):
        yield line + paragraph.count("\n", 0, position), paragraph[position:]


def check(paths: Sequence[str], root: Path = ROOT) -> list[Finding]:
    """Checks the tracked files under these paths, or in the whole repository without paths."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *paths,
         *(f":(top,exclude,glob){pattern}" for pattern in _SKIPPED)],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    files = [name for name in listed.split("\0") if name and (root / name).is_file()]
    return sorted(finding for name in files for finding in check_text(name, (root / name).read_text("utf-8")))


def main(paths: Sequence[str], root: Path = ROOT) -> int:
    """Print the findings; returns the exit code: 1 when there are any, 2 for a path that does not exist."""
    missing = [path for path in paths if not (root / path).exists()]
    if missing:
        print(f"{missing[0]}: no such file or folder", file=sys.stderr)
        return 2
    findings = check(paths, root)
    for finding in findings:
        print(finding)
    if findings:
        print(f"{len(findings)} findings. CONTRIBUTING.md, “How we write”, has the rules.")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
