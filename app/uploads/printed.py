"""What Python, numpy, torch and Excel print in a cell for a value or a list, read back."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.core.texts import plain

LONGEST = 20_000
"""Characters of a cell that may be a printed value."""
UNPRINTED: Final = object()
"""What a text is read as that nothing of those printed."""
_BITS = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 longlong intc"
_PLAIN = frozenset(f"{_BITS} bool bool_ str_ bytes_ string_ Decimal tensor array".split())
"""What a single value is wrapped in: `np.int64(0)`, `tensor(0, device='cuda:0')`."""
_LISTS = frozenset(("array", "tensor", "list", "set", "frozenset", "tuple", "Index"))
"""What a list is wrapped in: `array(['a'], dtype=object)`."""
_OPENS = re.compile(r"[\[({]|b['\"]|[A-Za-z_][\w.]*\(|np\.")
_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\s+|[\[\](){},:]|[^\s\[\](){},:'"]+|."""
)
_ENDS, _BEGINS = "])}", "[({"
_WORDS: Mapping[str, Any] = {"True_": True, "False_": False, "nan": None}


_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
"""A text that Excel is kept from reading as a number by, `="001"`."""


def read(text: str) -> Any:
    """The value that was printed, a list for whatever has several; `UNPRINTED` for another text.

    A text between quotation marks alone stays one, and so do words in brackets.
    """
    text = text.strip()
    if (kept := _FORMULA.fullmatch(text)) is not None:
        return kept[1].replace('""', '"')
    if len(text) > LONGEST or not _OPENS.match(text):
        return UNPRINTED
    if text[0] in "[{":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return _evaluated(text)


def single(text: str) -> str:
    """The one label that a text says, without what is printed around it. Raises ValueError where it
    says an object, or several."""
    found = read(text)
    if found is UNPRINTED:
        return plain(text)
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, bool):
        return str(found).lower()
    if not isinstance(found, str | int | float):
        raise ValueError("it is an object or a list as a text: write the label alone")
    whole = isinstance(found, float) and found.is_integer()
    return plain(str(int(found) if whole else found))


def written(label: str) -> str:
    """How a label is written so that `read` gives it back: most as they are, such as look printed
    as Excel keeps texts, `="np.int64(0)"`."""
    if read(label) is UNPRINTED:
        return label
    return '="' + label.replace('"', '""') + '"'


def listed(text: str) -> list[Any] | None:
    """The values of a list, tuple, set or array that was printed; None for any other text."""
    found = read(text)
    return found if isinstance(found, list) else None


def _evaluated(text: str) -> Any:
    try:
        node = ast.parse(_with_commas(text), mode="eval").body
        if text[0] == "(" and not isinstance(node, ast.Tuple):
            return UNPRINTED
        return _of(node)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return UNPRINTED


def _with_commas(text: str) -> str:
    """The text with commas where numpy has only blanks between two values. Raises ValueError for
    two strings side by side, which Python would join."""
    parts: list[str] = []
    for part in _TOKEN.findall(text):
        before = parts[-1] if parts else ","
        if before.isspace() and len(parts) > 1 and _ends(parts[-2]) and _begins(part):
            parts[-1] = f",{before}"
        elif before[0] in "'\"" and part[0] in "'\"":
            raise ValueError("two strings side by side")
        parts.append(part)
    return "".join(parts)


def _ends(part: str) -> bool:
    """Whether a value ends with it."""
    return part in _ENDS or part not in f"{_BEGINS},:"


def _begins(part: str) -> bool:
    return part in _BEGINS or part not in f"{_ENDS},:"


def _of(node: ast.expr) -> Any:
    """What an expression of constants says. Raises ValueError for any other."""
    reader = _READERS.get(type(node))
    if reader is None:
        raise ValueError("it is no constant")
    return reader(node)


def _constant(node: Any) -> Any:
    return node.value.decode() if isinstance(node.value, bytes) else node.value


def _signed(node: Any) -> Any:
    value = _of(node.operand)
    if not isinstance(node.op, ast.USub | ast.UAdd) or not isinstance(value, int | float):
        raise ValueError("it is no number")
    return -value if isinstance(node.op, ast.USub) else value


def _call(node: Any) -> Any:
    """What numpy, torch and Python wrap values in."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    value = _of(node.args[0]) if node.args else []
    if name in (_LISTS if isinstance(value, list) else _PLAIN):
        return value
    raise ValueError("it is a call")


def _named(node: Any) -> Any:
    """Numpy's `np.True_`, and its `nan`."""
    name = getattr(node, "attr", getattr(node, "id", ""))
    if name not in _WORDS:
        raise ValueError("it is a name")
    return _WORDS[name]


_READERS: Mapping[type[ast.expr], Callable[[Any], Any]] = {
    ast.Constant: _constant,
    ast.UnaryOp: _signed,
    ast.List: lambda node: [_of(one) for one in node.elts],
    ast.Tuple: lambda node: [_of(one) for one in node.elts],
    ast.Set: lambda node: [_of(one) for one in node.elts],
    ast.Dict: lambda node: {ast.unparse(one) if one else "": ... for one in node.keys},
    ast.Call: _call,
    ast.Attribute: _named,
    ast.Name: _named,
}
