"""Mutants of a source file: each function with one small mistake put into it.

A mutant is the parsed file with one node changed: a comparison or operator exchanged, a
constant moved, a condition turned round, a statement left out, two arguments swapped, a
value not returned, or a reduction exchanged for its neighbour.
"""

import ast
import difflib
import random
from collections import defaultdict
from dataclasses import dataclass

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPARISONS = {
    **{ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.Gt)},
    **{ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.Lt)},
    **{ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,)},
    **{ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,)},
}
OPERATORS = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult},
    **{ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
}
PAIRS = [
    *[("sum", "mean"), ("min", "max"), ("argmin", "argmax"), ("any", "all")],
    *[("minimum", "maximum"), ("floor", "ceil"), ("zeros", "ones")],
    *[("zeros_like", "ones_like"), ("clamp_min", "clamp_max"), ("amin", "amax")],
]
NEIGHBOURS = dict(PAIRS) | {b: a for a, b in PAIRS}


@dataclass(frozen=True)
class Mutant:
    """One change of one function.

    ``place`` is the node's position in `ast.walk` of the function, ``variant`` says
    which of its changes is meant.
    """

    function: str
    place: int
    variant: int
    line: int
    kind: str


def functions_of(tree):
    """Return the functions and methods of a file by qualified name."""
    found = {}

    def visit(body, prefix):
        for node in body:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, FUNCTIONS):
                name = prefix + node.name
                # A setter has the name of its property.
                found[name if name not in found else f"{name}@{node.lineno}"] = node

    visit(tree.body, "")
    return found


def _changes(node):
    """Yield (kind, change) for a node; ``change()`` alters it in place."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield "comparison", lambda i=i, o=other: node.ops.__setitem__(i, o())
    elif isinstance(node, ast.BinOp | ast.AugAssign):
        if other := OPERATORS.get(type(node.op)):
            yield "arithmetic", lambda: setattr(node, "op", other())
    elif isinstance(node, ast.BoolOp):
        other = ast.And if isinstance(node.op, ast.Or) else ast.Or
        yield "condition", lambda: setattr(node, "op", other())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "arithmetic", lambda: setattr(node, "op", ast.UAdd())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        twice = ast.UnaryOp(type(node.op)(), node.operand)
        yield "condition", lambda: setattr(node, "operand", twice)
    elif isinstance(node, ast.Constant):
        for value in _other_constants(node.value):
            yield "constant", lambda v=value: setattr(node, "value", v)
    elif isinstance(node, ast.Call):
        first_two = {ast.dump(argument) for argument in node.args[:2]}
        if len(first_two) == 2 and "Starred(" not in str(first_two):
            swapped = [node.args[1], node.args[0], *node.args[2:]]
            yield "arguments", lambda: setattr(node, "args", swapped)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "return", lambda: setattr(node, "value", ast.Constant(None))
    elif isinstance(node, ast.Attribute) and node.attr in NEIGHBOURS:
        yield "neighbour", lambda: setattr(node, "attr", NEIGHBOURS[node.attr])
    elif isinstance(node, ast.Name) and node.id in NEIGHBOURS:
        yield "neighbour", lambda: setattr(node, "id", NEIGHBOURS[node.id])
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        turned = ast.UnaryOp(ast.Not(), node.test)
        yield "condition", lambda: setattr(node, "test", turned)
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        for i, statement in enumerate(block if isinstance(block, list) else []):
            if _is_removable(statement):
                yield "removed", lambda b=block, i=i: b.__setitem__(i, ast.Pass())


def _other_constants(value):
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return (value + 1,) if value == 0 else (value + 1, value - 1)
    if isinstance(value, float):
        return (1.0,) if value == 0 else (value * 2, value * 1.01)
    return ()


def _is_removable(statement):
    if isinstance(statement, ast.Expr):
        # Not a docstring; a yield makes the function a generator.
        kept = ast.Constant | ast.Yield | ast.YieldFrom
        return not isinstance(statement.value, kept)
    return isinstance(statement, ast.AugAssign | ast.Raise | ast.Delete) or (
        # Without a plain local name all that follows fails at once.
        isinstance(statement, ast.Assign)
        and not any(isinstance(t, ast.Name | ast.Tuple) for t in statement.targets)
    )


def _places(function):
    """Return the nodes of a function in order, without annotations and messages."""
    left_out = set()
    for node in ast.walk(function):
        skipped = []
        if isinstance(node, FUNCTIONS):
            skipped += [*node.decorator_list, node.returns]
        elif isinstance(node, ast.arg | ast.AnnAssign):
            skipped += [node.annotation]
        elif isinstance(node, ast.Raise | ast.JoinedStr):
            # What an error says.
            skipped += list(ast.iter_child_nodes(node))
        left_out.update(
            id(inner) for part in skipped if part for inner in ast.walk(part)
        )
    return [
        (place, node)
        for place, node in enumerate(ast.walk(function))
        if id(node) not in left_out
    ]


def mutants_of(source):
    """Return all mutants of a file, in the order of its functions."""
    return [
        Mutant(name, place, variant, getattr(node, "lineno", function.lineno), kind)
        for name, function in functions_of(ast.parse(source)).items()
        for place, node in _places(function)
        for variant, (kind, _) in enumerate(_changes(node))
    ]


def mutated(source, mutant):
    """Return the parsed file with the change of a mutant, and its function."""
    tree = ast.parse(source)
    function = functions_of(tree)[mutant.function]
    node = dict(_places(function))[mutant.place]
    list(_changes(node))[mutant.variant][1]()
    return ast.fix_missing_locations(tree), function


def difference(source, mutant):
    """Return the lines that a mutant changes, as a diff of unparsed code."""
    before = functions_of(ast.parse(source))[mutant.function]
    _, after = mutated(source, mutant)
    lines = [ast.unparse(node).splitlines() for node in (before, after)]
    diff = list(difflib.unified_diff(*lines, lineterm="", n=1))[3:]
    return "\n".join(f"    {line}" for line in diff)


def sample(mutants, n_mutants, seed):
    """Draw mutants by turns from each function, so that none is left out."""
    rng = random.Random(seed)
    of_function = defaultdict(list)
    for mutant in mutants:
        of_function[mutant.function].append(mutant)
    for group in of_function.values():
        rng.shuffle(group)
    groups, drawn = list(of_function.values()), []
    rng.shuffle(groups)
    while groups and len(drawn) < n_mutants:
        drawn += [group.pop() for group in groups]
        groups = [group for group in groups if group]
    return drawn[:n_mutants]
