"""unittest's and pytest's assertions as plain ones: self.assertEqual(a, b) is assert a == b.

    ast.unparse(Assertions().visit(ast.parse("self.assertIsNone(f(2))")))   # assert f(2) is None

So that expected values can be taken out of the test (`checks`), and no program can put its own
unittest in place. What has no plain form stays as it is.
"""

import ast

# {0}, {1}: the arguments
_PLAIN = {
    "assertEqual": "{0} == {1}",
    "assertEquals": "{0} == {1}",
    "assertNotEqual": "{0} != {1}",
    "assertTrue": "{0}",
    "assertFalse": "not {0}",
    "assertIs": "{0} is {1}",
    "assertIsNot": "{0} is not {1}",
    "assertIsNone": "{0} is None",
    "assertIsNotNone": "{0} is not None",
    "assertIn": "{0} in {1}",
    "assertNotIn": "{0} not in {1}",
    "assertGreater": "{0} > {1}",
    "assertGreaterEqual": "{0} >= {1}",
    "assertLess": "{0} < {1}",
    "assertLessEqual": "{0} <= {1}",
    "assertIsInstance": "isinstance({0}, {1})",
    "assertNotIsInstance": "not isinstance({0}, {1})",
    "assertCountEqual": "sorted({0}) == sorted({1})",
    **{f"assert{kind}Equal": "{0} == {1}" for kind in ("List", "Tuple", "Dict", "Set", "Sequence")},
    "assertMultiLineEqual": "{0} == {1}",
}
_RAISES = ("assertRaises", "assertRaisesRegex", "raises")
PLACES = 7  # of assertAlmostEqual


def is_unittest(owner: ast.ClassDef) -> bool:
    return any("TestCase" in ast.unparse(base) for base in owner.bases)


class Assertions(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        match node.value:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name), args=args):
                return self._plain(node, name, args, node.value.keywords)
        return self.generic_visit(node)

    def _plain(
        self, node: ast.Expr, name: str, args: list[ast.expr], keywords: list[ast.keyword]
    ) -> ast.AST | list[ast.stmt]:
        words = [ast.unparse(arg) for arg in args]
        form = _PLAIN.get(name)
        if form and len(words) >= 1 + ("{1}" in form):
            return ast.parse(f"assert {form.format(*(f'({word})' for word in words))}").body
        if name == "assertAlmostEqual" and len(words) >= 2:
            return ast.parse(
                f"assert abs({words[0]} - ({words[1]})) <= {_most(args, keywords)}"
            ).body
        if name in _RAISES and len(words) >= 2:
            at = 2 if name == "assertRaisesRegex" else 1
            called = f"{words[at]}({', '.join(words[at + 1 :])})"
            return _raising(words[0], ast.parse(called).body)
        return node

    def visit_With(self, node: ast.With) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        match node.items:
            case [
                ast.withitem(
                    context_expr=ast.Call(func=ast.Attribute(attr=name), args=[kind, *_]),
                    optional_vars=None,
                )
            ] if name in _RAISES:
                return _raising(ast.unparse(kind), node.body)
            case [ast.withitem(context_expr=ast.Call(func=ast.Attribute(attr="subTest")))]:
                return node.body
        return node


def _raising(kind: str, body: list[ast.stmt]) -> list[ast.stmt]:
    """The body, and a check that it raised."""
    lines = ast.parse(
        f"__raised__ = False\ntry:\n    pass\nexcept {kind}:\n    __raised__ = True\n"
        "assert __raised__"
    ).body
    assert isinstance(lines[1], ast.Try)
    lines[1].body = body
    return lines


def _most(args: list[ast.expr], keywords: list[ast.keyword]) -> float | str:
    """The largest difference: half of the last of the places, or a delta."""
    given = {word.arg: ast.unparse(word.value) for word in keywords}
    if "delta" in given:
        return given["delta"]
    places = given.get("places", ast.unparse(args[2]) if len(args) > 2 else str(PLACES))
    return 0.5 * 10.0 ** -int(places) if places.isdecimal() else 0.5 * 10.0**-PLACES
