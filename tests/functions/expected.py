"""Writes expected.json (outputs and gradients of every case of cases.rs) and names.json (PyTorch's public names) beside
this file. The operands are formulas that main.rs computes too."""
import json
import pathlib
import re
import struct
import warnings

import torch
import torch.nn.functional as F

warnings.simplefilter("ignore")
here = pathlib.Path(__file__).parent
text = "".join(p.read_text() for p in sorted(here.glob("cases*.rs")))
SPECIAL = [0.0, -0.0, 1.0, -1.0, float("nan"), float("inf"), float("-inf"), 0.5, -2.5, 3e38, -1e-38, 88.5]
C, R = torch.view_as_complex, torch.view_as_real


def operand(spec, k):
    kind, shape = re.fullmatch(r"([a-z]\d*)\[([\d,]*)\]", spec).groups()
    shape = [int(n) for n in shape.split(",") if n]
    n = torch.Size(shape).numel()
    i = torch.arange(n) + 3 * k
    c = kind[0]
    if c == "f":
        v = ((i * 7 + 3) % 23 - 11) / 8.0
    elif c == "p":
        v = ((i * 7 + 3) % 23 + 1) / 8.0
    elif c == "q":
        v = ((i * 7 + 3) % 23 - 11) / 12.0
    elif c == "d":
        v = ((i * 37 + 5) % 211 - 105) / 32.0
    elif c == "s":
        v = torch.tensor([SPECIAL[j % 12] for j in (i * 5).tolist()])
    elif c == "i":
        v = (i * 7 + 3) % 23 - 11
    elif c == "n":
        v = (i * 7 + 3) % 23
    elif c == "b":
        v = (i * 5) % 7 < 3
    elif c == "k":
        v = (i * 5 + 1) % int(kind[1:])
    v = v.reshape(shape)
    return v.float() if v.is_floating_point() else v


def numbers(t):
    t = t.detach()
    if t.is_floating_point():
        return [x if abs(x) < 1e39 and x == x else repr(x) for x in (float(f"{v:.9g}") for v in t.reshape(-1).tolist())]
    return [int(v) for v in t.reshape(-1).tolist()]


def listed():
    found = re.findall(r'case\(\s*"([^"]+)",\s*"([^"]*)",\s*"([^"]*)"', text)
    for macro in ("unary", "binary"):
        for block in re.findall(macro + r"! \{ all;(.*?)\n    \}", text, re.S):
            for kind, names in re.findall(r'"([^"]+)":([^;]*);', block):
                for name in names.split():
                    found.append((name, f"torch.{name}(a{',b' if macro == 'binary' else ''})", kind))
    return found


failures = []


def expected():
    out = {}
    for name, expression, inputs in listed():
        operands = [operand(s, k) for k, s in enumerate(inputs.split())]
        smooth = [t.is_floating_point() and not s.startswith("s") for t, s in zip(operands, inputs.split())]
        leaves = [t.clone().requires_grad_(True) if g else t for t, g in zip(operands, smooth)]
        scope = dict(zip("abcd", leaves), torch=torch, F=F, C=C, R=R)
        # Arguments that are changed before the call are changed here too.
        scope.update(changed(name, expression, scope))
        alias = {"neg": "torch.neg(a)", "sub": "torch.sub(a,b)"}
        try:
            y = eval(alias.get(name, expression) if expression.startswith("torch." + name) else expression, scope)
        except Exception as e:
            failures.append(f'{name} {expression}: {e}'); continue
        y = list(y) if isinstance(y, (tuple, list)) else [y]
        entry = {"out": [[list(t.shape), numbers(t)] for t in y]}
        total = sum(
            (t * ((torch.arange(t.numel()) * 5 % 7 - 3) / 2.0).reshape(t.shape)).sum()
            for t in y
            if t.is_floating_point() and t.requires_grad
        )
        if torch.is_tensor(total) and total.requires_grad and name not in ("floor_divide", "heaviside"):
            wanted = [t for t, g in zip(leaves, smooth) if g]
            try:
                grads = torch.autograd.grad(total, wanted, allow_unused=True)
            except Exception as e:
                failures.append(f'{name} {expression}: {e}'); continue
            entry["grad"] = [None if g is None else numbers(g) for g in grads]
        out[f"{name}|{expression}|{inputs}"] = entry
    return out


def changed(name, expression, scope):
    a, b = scope.get("a"), scope.get("b")
    if name == "acosh":
        return {"a": a + 1.0}
    if name == "logit":
        return {"a": (a + 1.0) * 0.5}
    if name == "grid_sample":
        return {"b": b * 1.3}
    return {}


def names():
    def public(module):
        return [n for n in dir(module) if not n.startswith("_") and not n.endswith("_")]

    kinds = {}
    for label, module in (("torch", torch), ("torch.Tensor", torch.Tensor), ("torch.nn.functional", F)):
        for n in public(module):
            try:
                value = getattr(module, n)
            except Exception:
                value = None
            kind = "call" if callable(value) and not isinstance(value, type) else "type" if isinstance(value, type) else "other"
            if type(value).__name__ == "module":
                kind = "module"
            kinds.setdefault(n, {})[label] = kind
    return kinds


(here / "expected.json").write_text(
    "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in expected().items()) + "\n}\n"
)
assert not failures, "\n".join(failures)
(here / "names.json").write_text(
    "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in sorted(names().items())) + "\n}\n"
)
