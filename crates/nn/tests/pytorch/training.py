"""Makes training.json: 50 steps of a GPT and of a ResNet in PyTorch, for tests/suite/pytorch_training.rs. Run: python training.py [large]

Weights and images come from the integer formula of layers.py, tokens and classes from others below; all is computed in
f64. A case stores every loss, and the norm of each parameter and its product with a cotangent: those of the model, and
of the average of its weights. Without `large` the cases of large models stay as they are.
"""

import json
import math
import pathlib
import sys

import torch
from layers import fill, initial, measure
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

STEPS = 50


class Conv1D(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(a, b)), nn.Parameter(torch.empty(b))

    def forward(self, x):
        return x @ self.weight + self.bias


class Block(nn.Module):
    def __init__(self, n, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(n), nn.LayerNorm(n)
        self.attn = nn.ModuleDict({"c_attn": Conv1D(n, 3 * n), "c_proj": Conv1D(n, n)})
        self.mlp = nn.ModuleDict({"c_fc": Conv1D(n, 4 * n), "c_proj": Conv1D(4 * n, n)})

    def forward(self, x):
        b, t, c = x.shape
        parts = self.attn["c_attn"](self.ln_1(x)).split(c, 2)
        q, k, v = (u.view(b, t, self.heads, -1).transpose(1, 2) for u in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c)
        x = x + self.attn["c_proj"](y)
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    """With the names of Hugging Face's GPT2LMHeadModel."""

    def __init__(self, vocabulary, positions, n, layers, heads):
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, n),
                "wpe": nn.Embedding(positions, n),
                "h": nn.ModuleList(Block(n, heads) for _ in range(layers)),
                "ln_f": nn.LayerNorm(n),
            }
        )

    def forward(self, tokens):
        t = self.transformer
        x = t["wte"](tokens) + t["wpe"](torch.arange(tokens.shape[1]))
        for block in t["h"]:
            x = block(x)
        return F.linear(t["ln_f"](x), t["wte"].weight)


class Basic(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
        if a != b or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))
        else:
            self.downsample = None

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class SmallResNet(nn.Module):
    """Three blocks, of 6, 8 and 8 channels."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, 1, 1, bias=False), nn.BatchNorm2d(6)
        self.blocks = nn.ModuleList([Basic(6, 6, 1), Basic(6, 8, 2), Basic(8, 8, 1)])
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean((2, 3)))


def text(i, batch, length, vocabulary):
    """The rows of step i: inputs, and the tokens after them."""
    k = torch.arange(batch * (length + 1))
    rows = ((k * 7 + k * k % 5 + i * 3) % vocabulary).reshape(batch, length + 1)
    return rows[:, :-1], rows[:, 1:].flatten()


def images(i, batch, side, classes):
    """Those of step i, whose classes show in their means."""
    y = (torch.arange(batch) * 3 + i) % classes
    x = fill(f"images{i % 4}", (batch, 3, side, side)) + (y / classes).double().view(-1, 1, 1, 1)
    return x.float().double(), y


def text_loss(model, x, y):
    return F.cross_entropy(model(x).flatten(0, 1), y)


def image_loss(model, x, y):
    return F.cross_entropy(model(x), y)


def adamw(parameters, lr=1e-3):
    return torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.1)


def slow_adamw(parameters):
    """At 1e-3 the large model's gradients leap to norms of 30, and rounding decides where it goes."""
    return adamw(parameters, 1e-4)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.02, momentum=0.9, nesterov=True, weight_decay=5e-4)


def rate(i):
    """Of the whole rate: ten steps of warm-up, then a cosine to a tenth."""
    return (i + 1) / 10 if i < 10 else 0.1 + 0.45 * (1 + math.cos(math.pi * (i - 10) / 40))


def measures(named):
    return {n: [float(f"{v:.8g}") for v in measure(n, t)] for n, t in named if t.dtype.is_floating_point}


def train(model, loss, data, make, micro=1, overflow=()):
    model = model.double().train()
    with torch.no_grad():
        for key, t in model.state_dict().items():
            if t.dtype.is_floating_point:
                t.copy_(initial(key, t.shape))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    parameters = list(model.parameters())
    optimizer = make(
        [
            {"params": [p for p in parameters if p.dim() > 1]},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
    )
    base = optimizer.param_groups[0]["lr"]
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=5, enabled=bool(overflow))
    losses, norms, scales = [], [], []
    for i in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = base * rate(i)
        optimizer.zero_grad()
        total = 0.0
        x, y = data(i)
        for a, b in zip(x.chunk(micro), y.chunk(micro)):
            part = loss(model, a, b) / micro
            total += part.item()
            scaler.scale(part * (math.inf if i in overflow else 1.0)).backward()
        scaler.unscale_(optimizer)
        norms.append(nn.utils.clip_grad_norm_(parameters, 1.0).item())
        scaler.step(optimizer)
        scaler.update()
        average.update_parameters(model)
        losses.append(total)
        scales.append(scaler.get_scale())
    out = {
        "losses": [float(f"{v:.9g}") for v in losses],
        "norms": [float(f"{v:.7g}") if math.isfinite(v) else -1.0 for v in norms],
        "scales": scales,
        "state": measures(model.state_dict().items()),
        "average": measures(average.module.state_dict().items()),
    }
    assert max(norms) > 1.0, "nothing was clipped"
    return out


def recipes(name, model, loss, data, make):
    for recipe, options in [("groups", {}), ("micro", {"micro": 4}), ("scaler", {"overflow": (7, 20, 21, 40)})]:
        print(name, recipe, file=sys.stderr, flush=True)
        yield {"name": f"{name} {recipe}", **train(model(), loss, data, make, **options)}


def cases(large):
    if large:
        gpt = lambda: Gpt2(65, 64, 128, 4, 4)
        yield from recipes("gpt large", gpt, text_loss, lambda i: text(i, 12, 64, 65), slow_adamw)
    else:
        gpt = lambda: Gpt2(17, 8, 16, 2, 2)
        yield from recipes("gpt", gpt, text_loss, lambda i: text(i, 8, 8, 17), adamw)
        yield from recipes("resnet", SmallResNet, image_loss, lambda i: images(i, 16, 8, 5), sgd)


if __name__ == "__main__":
    place = pathlib.Path(__file__).with_name("training.json")
    old = json.loads(place.read_text()) if place.exists() else []
    old = [c for c in old if "large" in c["name"]]
    large = list(cases(True)) if sys.argv[1:] == ["large"] else old
    small = list(cases(False))
    place.write_text("[\n" + ",\n".join(json.dumps(c) for c in small + large) + "\n]\n")
