"""The mutants of a file: copies of it with one fault each.

mutmut makes most of them. This module adds those that mutmut lacks:

- a call of a chain, an element of a table or a statement is removed,
- a condition is negated,
- a return value is removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import libcst as cst
import libcst.matchers as m
from mutmut.mutation.mutators import mutation_operators, operator_string

ROOT = Path(__file__).parents[2]

# The file, and the changed lines before and after.
Identity = tuple[str, str, str]


class Mutant(NamedTuple):
    """A file with one fault. `before` and `after` are its `lines` from `line` on, with single spaces."""

    file: str
    line: int
    lines: int
    before: str
    after: str
    content: str

    @property
    def identity(self) -> Identity:
        """Names the mutant, as long as its lines do not change. Equal lines have equal mutants."""
        return self.file, self.before, self.after


def mutants_of(file: str) -> list[Mutant]:
    """Returns the mutants of a file of the repository, without those that do not compile."""
    source = (ROOT / file).read_text("utf-8")
    if file.endswith(".json"):
        return list(_json_mutants(file, source))
    variants = _python_variants(source)
    return [_mutant(file, source, variant) for variant in dict.fromkeys(variants) if variant != source]


def _mutant(file: str, source: str, variant: str) -> Mutant:
    shorter = min(len(source), len(variant))
    start = next((i for i in range(shorter) if source[i] != variant[i]), shorter)
    rest = shorter - start
    same = next((i for i in range(rest) if source[-1 - i] != variant[-1 - i]), rest)
    first = source.rfind("\n", 0, start) + 1
    tail = source.find("\n", len(source) - same)
    tail = len(source) if tail < 0 else tail
    before, after = source[first:tail], variant[first : len(variant) - (len(source) - tail)]
    return Mutant(
        file=file,
        line=source.count("\n", 0, start) + 1,
        lines=before.count("\n") + 1,
        before=" ".join(before.split()),
        after=" ".join(after.split()),
        content=variant,
    )


# --- Python ---

_LOGGER = m.Attribute(value=m.Name("logger"))
# Their arguments are text for people: messages and log lines.
_TEXT_TAKERS = _LOGGER | m.Name("print") | m.Name("text")
# For readers and mypy; `strict` of zip would only show that a list is too short.
_FOR_READERS = m.Name("frozen") | m.Name("kw_only") | m.Name("strict")
# The value of a name for annotations.
_TYPE = m.Call(func=m.Name("TypeVar")) | m.Subscript(value=m.Name("Callable") | m.Name("dict"))
# The last argument is only for the message of an error, or its cause.
_MESSAGE_TAKERS = m.Name("order_from") | m.Name("order_before") | m.Name("raise_if_transient")


def _python_variants(source: str) -> Iterator[str]:
    module = cst.parse_module(source)
    finder = _Finder()
    module.visit(finder)
    for old, new in finder.found:
        variant = cst.ensure_type(module.deep_replace(old, new), cst.Module).code
        try:
            compile(variant, "mutant", "exec")
        except SyntaxError:
            continue
        yield variant


class _Finder(cst.CSTVisitor):
    """Collects nodes and their replacements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode]] = []
        self._path: list[cst.CSTNode] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Collects the faults of a node. Returns whether its parts are visited."""
        if self._is_left_out(node):
            return False
        for kind, operator in (*mutation_operators, *_OPERATORS):
            if isinstance(node, kind):
                self.found += [(node, mutated) for mutated in self._wanted(node, operator)]
        self._path.append(node)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        """Leaves a node."""
        if self._path and self._path[-1] is original_node:
            self._path.pop()

    def _is_left_out(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Import | cst.ImportFrom):
            return True
        if m.matches(node, m.Arg(keyword=_FOR_READERS)):
            return True
        if m.matches(
            node,
            m.SimpleStatementLine([m.Expr(m.Call(func=_LOGGER))]) | m.If(test=m.Name("TYPE_CHECKING")),
        ):
            return True
        if isinstance(node, cst.Annotation):  # msgspec reads those of a class
            return any(isinstance(parent, cst.FunctionDef) for parent in self._path)
        return m.matches(node, m.Assign(value=_TYPE)) or (_is_text(node) and self._is_for_people())

    def _is_for_people(self) -> bool:
        """Returns whether the node is within an error or a log line."""
        return any(
            m.matches(parent, m.Raise() | m.Call(func=_TEXT_TAKERS))
            or (
                isinstance(parent, cst.Call)
                and isinstance(parent.func, cst.Name)
                and parent.func.value in _errors()
            )
            for parent in self._path
        )

    def _wanted(self, node: cst.CSTNode, operator: Any) -> Iterable[cst.CSTNode]:
        if isinstance(node, cst.BinaryOperation) and any(isinstance(p, cst.Annotation) for p in self._path):
            return []  # a union of types
        mutated = list(operator(node))
        if isinstance(node, cst.Call):
            kept = [argument for argument in node.args if m.matches(argument, m.Arg(keyword=_FOR_READERS))]
            kept += node.args[-1:] if m.matches(node.func, _MESSAGE_TAKERS) else ()
            mutated = [
                new for new in mutated if all(argument in getattr(new, "args", ()) for argument in kept)
            ]
        if operator is operator_string:
            return mutated[:1]  # the others differ in upper and lower case only
        if isinstance(node, cst.Call):
            self._path.append(node)
            for_people = self._is_for_people()
            self._path.pop()
            if for_people and any(_is_text(argument.value) for argument in node.args):
                return []  # a message less, or None in its place
        return mutated


def _is_text(node: cst.CSTNode) -> bool:
    """Returns whether a node is text with a space. Messages have one, codes do not."""
    if isinstance(node, cst.SimpleString):
        return " " in node.value
    if isinstance(node, cst.FormattedString):
        return any(isinstance(part, cst.FormattedStringText) and " " in part.value for part in node.parts)
    if isinstance(node, cst.ConcatenatedString):
        return True
    return isinstance(node, cst.IfExp) and _is_text(node.body)


@cache
def _errors() -> set[str]:
    """The names of the domain's errors."""
    tree = cst.parse_module((ROOT / "functions/shared/domain/errors.py").read_text("utf-8"))
    return {statement.name.value for statement in tree.body if isinstance(statement, cst.ClassDef)}


def _drop_call_of_chain(node: cst.Call) -> Iterator[cst.CSTNode]:
    if m.matches(node.func, m.Attribute(value=m.Call())):
        yield cst.ensure_type(node.func, cst.Attribute).value


def _drop_statement(node: cst.SimpleStatementLine) -> Iterator[cst.CSTNode]:
    if m.matches(node, m.SimpleStatementLine([m.Expr(m.Call()) | m.Raise() | m.AugAssign() | m.Del()])):
        yield node.with_changes(body=[cst.Pass()])


def _drop_element(node: cst.BaseExpression) -> Iterator[cst.CSTNode]:
    elements = node.elements  # type: ignore[attr-defined]
    if len(elements) == 1 and isinstance(node, cst.Set | cst.Tuple):
        return
    for number in range(len(elements)):
        rest = [*elements[:number], *elements[number + 1 :]]
        if isinstance(node, cst.Tuple):
            rest = [element.with_changes(comma=cst.Comma()) for element in rest]
        yield node.with_changes(elements=rest)


def _negate(node: cst.If | cst.While | cst.CompIf | cst.IfExp) -> Iterator[cst.CSTNode]:
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(cst.Not(), test))


def _return_nothing(node: cst.Return) -> Iterator[cst.CSTNode]:
    if node.value is not None and not m.matches(node.value, m.Name("None")):
        yield node.with_changes(value=cst.Name("None"))


_OPERATORS: list[tuple[Any, Any]] = [
    (cst.Call, _drop_call_of_chain),
    (cst.SimpleStatementLine, _drop_statement),
    (cst.Set, _drop_element),
    (cst.List, _drop_element),
    (cst.Tuple, _drop_element),
    (cst.Dict, _drop_element),
    (cst.If, _negate),
    (cst.While, _negate),
    (cst.CompIf, _negate),
    (cst.Return, _return_nothing),
]


# --- the state machine ---


def _json_mutants(file: str, source: str) -> Iterator[Mutant]:
    """Drops each Catch, Retry, error name, Assign and argument; changes each Next; doubles each number."""
    machine = json.loads(source)
    names = list(machine["States"])
    for path, part in list(_parts(machine, ())):
        changes: list[Any] = []
        if isinstance(part, int | float) and not isinstance(part, bool):
            changes.append(part * 2)
        elif path[-1] in {"Next", "StartAt"}:
            changes.append(names[(names.index(part) + 1) % len(names)])
        elif isinstance(part, list):
            changes += [[*part[:number], *part[number + 1 :]] for number in range(len(part))]
        elif isinstance(part, dict) and path[-1] in {"Payload", "Assign", "Arguments"}:
            changes += [{key: value for key, value in part.items() if key != name} for name in part]
        name = ".".join(map(str, path))
        line = source[: source.index(f'"{path[1]}": {{')].count("\n") + 1 if len(path) > 1 else 1
        for change in changes:
            if change == part:
                continue
            copy = json.loads(source)
            *parents, last = path
            target = copy
            for step in parents:
                target = target[step]
            target[last] = change
            before, after = (f"{name} = {json.dumps(value)}" for value in (part, change))
            yield Mutant(file, line, 1, before, after, json.dumps(copy, indent=1))


def _parts(part: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if path:
        yield path, part
    steps = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for step, inner in steps:
        if step != "Comment":
            yield from _parts(inner, (*path, step))
