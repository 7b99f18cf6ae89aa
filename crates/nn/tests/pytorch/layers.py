"""Makes layers.json: what PyTorch's layers give, for tests/suite/pytorch.rs. Run: python layers.py [models]

Weights, inputs and cotangents come from one integer formula (`fill`), which the test computes too. A case stores sampled
outputs, the loss `sum(y * cotangent)`, and of each gradient and buffer its norm and its product with a cotangent.
With `models` it makes models.json instead, for which torchvision is needed.
"""

import json
import math
import sys

import torch
from torch import nn
from torch.nn.utils import parametrizations

torch.set_default_dtype(torch.float64)


def fill(name, shape):
    i = torch.arange(math.prod(shape), dtype=torch.int64)
    seed = sum(name.encode())
    v = (i * 3571 + seed * 131 + 17) % 8191
    return (v.double() / 8191.0 * 2.0 - 1.0).reshape(shape)


def initial(name, shape):
    v = fill(name, shape)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        v = 1.0 + 0.5 * v
    elif len(shape) >= 2:
        v = v * math.sqrt(3.0 / math.prod(shape[1:]))
    else:
        v = v * 0.2
    return v.float().double()


def measure(name, t):
    t = t.detach()
    return [t.norm().item(), (t * fill(name, t.shape)).sum().item()]


def case(name, module, inputs, run=None, training=False, drop=()):
    """`inputs`: shapes of floats, or (`index`, shape, range), or (`list`, numbers)."""
    module = module.double().train(training)
    with torch.no_grad():
        for key, t in module.state_dict().items():
            if t.dtype.is_floating_point:
                t.copy_(initial(key, t.shape))
    xs, specs = [], []
    for k, spec in enumerate(inputs):
        if spec[0] == "index":
            n = torch.arange(math.prod(spec[1]))
            xs.append(((n * 7 + 3) % spec[2]).reshape(spec[1]))
            specs.append({"index": spec[2], "shape": list(spec[1])})
        elif spec[0] == "list":
            xs.append(torch.tensor(spec[1]))
            specs.append({"list": spec[1], "shape": [len(spec[1])]})
        else:
            x = (2.0 * fill(f"input{k}", spec)).float().double()
            xs.append(x.requires_grad_())
            specs.append({"shape": list(spec)})
    y = module(*xs) if run is None else run(module, *xs)
    loss = (y * fill("cotangent", y.shape)).sum()
    named = [(f"input{k}", x) for k, x in enumerate(xs) if x.dtype.is_floating_point]
    named += list(module.named_parameters())
    grads = torch.autograd.grad(loss, [t for _, t in named], allow_unused=True)
    gradients = {
        key: measure(key, torch.zeros_like(t) if g is None else g) for (key, t), g in zip(named, grads)
    }
    buffers = {
        key: measure(key, t)
        for key, t in module.named_buffers()
        if t.dtype.is_floating_point and key not in drop
    }
    flat = y.detach().flatten()
    samples = min(64, flat.numel())
    return {
        "name": name,
        "training": training,
        "inputs": specs,
        "parameters": sum(t.numel() for t in module.parameters()),
        "shape": list(y.shape),
        "samples": [float(f"{flat[j * flat.numel() // samples].item():.7g}") for j in range(samples)],
        "loss": float(f"{loss.item():.9g}"),
        "gradients": {k: [float(f"{v:.7g}") for v in p] for k, p in gradients.items()},
        "buffers": {k: [float(f"{v:.7g}") for v in p] for k, p in buffers.items()},
    }


class Separable(nn.Module):
    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.pointwise = nn.Conv2d(3, 5, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, *x):
        return self.f(*x)


def halves(x, act):
    a, b = x.chunk(2, -1)
    return a * act(b)


def convolutions():
    yield case("conv1d", nn.Conv1d(3, 4, 3), [(2, 3, 9)])
    yield case("conv1d dilated", nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), [(2, 4, 11)])
    yield case("conv1d unbatched", nn.Conv1d(3, 4, 3, padding="same", bias=False), [(3, 8)])
    yield case("conv2d", nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0)), [(2, 3, 7, 6)])
    yield case("conv2d grouped", nn.Conv2d(4, 6, 3, groups=2, dilation=(1, 2)), [(2, 4, 6, 8)])
    yield case("conv2d depthwise", nn.Conv2d(4, 8, 3, padding=1, groups=4), [(2, 4, 5, 6)])
    for mode in ["reflect", "replicate", "circular"]:
        yield case(f"conv2d {mode}", nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode), [(2, 2, 5, 6)])
    yield case("conv2d same reflect", nn.Conv2d(2, 3, (4, 3), padding="same", padding_mode="reflect"), [(2, 2, 5, 6)])
    yield case("conv3d", nn.Conv3d(2, 3, (2, 3, 2), stride=(1, 2, 1), padding=(1, 0, 1)), [(2, 2, 4, 5, 4)])
    yield case("conv3d grouped", nn.Conv3d(4, 4, 2, groups=2, dilation=2), [(1, 4, 4, 4, 5)])
    yield case("separable", Separable(), [(2, 3, 5, 6)])
    yield case("conv_transpose1d", nn.ConvTranspose1d(3, 4, 3, stride=2, padding=1, output_padding=1), [(2, 3, 5)])
    yield case("conv_transpose2d", nn.ConvTranspose2d(4, 6, 3, stride=(2, 1), groups=2), [(2, 4, 4, 3)])
    yield case("conv_transpose2d dilated", nn.ConvTranspose2d(2, 3, 2, dilation=2, bias=False), [(2, 2, 3, 4)])
    sized = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    yield case("conv_transpose2d sized", sized, [(1, 2, 4, 4)], lambda m, x: m(x, output_size=[8, 7]))
    yield case("conv_transpose3d", nn.ConvTranspose3d(2, 3, 2, stride=2), [(1, 2, 2, 3, 2)])


def pools():
    yield case("max_pool1d", nn.MaxPool1d(3, 2, 1), [(2, 3, 9)])
    yield case("max_pool2d", nn.MaxPool2d((3, 2), (2, 1), (1, 1), ceil_mode=True), [(2, 3, 6, 5)])
    yield case("max_pool2d dilated", nn.MaxPool2d(2, 1, dilation=2), [(2, 3, 6, 5)])
    yield case("max_pool3d", nn.MaxPool3d(2), [(1, 2, 4, 4, 6)])
    yield case("avg_pool1d", nn.AvgPool1d(3, 2, 1), [(2, 3, 9)])
    yield case("avg_pool2d", nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), [(2, 3, 6, 7)])
    yield case("avg_pool3d", nn.AvgPool3d(2, 1, divisor_override=5), [(1, 2, 3, 4, 3)])
    positive = lambda m, x: m(x.abs())
    yield case("lp_pool1d", nn.LPPool1d(2, 3, 2), [(2, 3, 9)], positive)
    yield case("lp_pool2d", nn.LPPool2d(3, 2), [(2, 3, 4, 6)], positive)
    yield case("lp_pool3d", nn.LPPool3d(2, 2), [(1, 2, 4, 4, 2)], positive)
    yield case("adaptive_avg_pool1d", nn.AdaptiveAvgPool1d(4), [(2, 3, 10)])
    yield case("adaptive_avg_pool2d", nn.AdaptiveAvgPool2d((3, None)), [(2, 3, 7, 5)])
    yield case("adaptive_avg_pool3d", nn.AdaptiveAvgPool3d((1, 2, 3)), [(1, 2, 3, 4, 5)])
    yield case("adaptive_max_pool1d", nn.AdaptiveMaxPool1d(4), [(2, 3, 10)])
    yield case("adaptive_max_pool2d", nn.AdaptiveMaxPool2d((2, 3)), [(2, 3, 5, 7)])
    yield case("adaptive_max_pool3d", nn.AdaptiveMaxPool3d((2, 1, 2)), [(1, 2, 3, 4, 5)])
    yield case("global_avg_pool", Apply(lambda x: x.mean((2, 3))), [(2, 3, 4, 5)])
    yield case("global_max_pool", Apply(lambda x: x.amax((2, 3))), [(2, 3, 4, 5)])
    pool, unpool = nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2)
    yield case("max_unpool1d", Apply(lambda x: unpool(*pool(x), output_size=[9])), [(2, 3, 9)])
    pool2, unpool2 = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    yield case("max_unpool2d", Apply(lambda x: unpool2(*pool2(x))), [(2, 3, 4, 6)])
    pool3, unpool3 = nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2)
    yield case("max_unpool3d", Apply(lambda x: unpool3(*pool3(x))), [(1, 2, 4, 2, 6)])
    samples = (fill("samples", (2, 3, 2)) + 1.0) / 2.0
    fractional = lambda x: nn.functional.fractional_max_pool2d(x, (2, 3), (4, 3), _random_samples=samples)
    yield case("fractional_max_pool2d", Apply(fractional), [(2, 3, 9, 8)])


def resizes():
    yield case("upsample nearest", nn.Upsample(scale_factor=2), [(2, 3, 4, 5)])
    yield case("upsample linear", nn.Upsample(7, mode="linear"), [(2, 3, 4)])
    yield case("upsample bilinear", nn.Upsample(scale_factor=(2, 1.5), mode="bilinear"), [(2, 3, 4, 4)])
    yield case("upsample corners", nn.Upsample((7, 5), mode="bilinear", align_corners=True), [(2, 3, 4, 4)])
    yield case("upsample bicubic", nn.Upsample(scale_factor=2, mode="bicubic"), [(1, 2, 4, 5)])
    yield case("upsample trilinear", nn.Upsample((3, 4, 5), mode="trilinear"), [(1, 2, 2, 3, 4)])
    yield case("pixel_shuffle", nn.PixelShuffle(2), [(2, 8, 3, 2)])
    yield case("pixel_unshuffle", nn.PixelUnshuffle(3), [(2, 2, 6, 3)])
    yield case("channel_shuffle", nn.ChannelShuffle(2), [(2, 6, 3, 2)])
    yield case("unfold", nn.Unfold((2, 3), dilation=(1, 2), padding=1, stride=(2, 1)), [(2, 3, 5, 6)])
    yield case("fold", nn.Fold((4, 5), (2, 2), padding=1, stride=2), [(2, 12, 9)])
    yield case("flatten", nn.Flatten(1, 2), [(2, 3, 4, 5)])
    yield case("unflatten", nn.Unflatten(1, (2, 3)), [(2, 6, 4)])
    image, line, block = (2, 3, 4, 5), (2, 3, 5), (1, 2, 3, 4, 5)
    yield case("zero_pad1d", nn.ZeroPad1d((2, 1)), [line])
    yield case("zero_pad2d", nn.ZeroPad2d((1, 2, 0, -1)), [image])
    yield case("zero_pad3d", nn.ZeroPad3d(1), [block])
    yield case("constant_pad1d", nn.ConstantPad1d(2, 1.5), [line])
    yield case("constant_pad2d", nn.ConstantPad2d((1, 2, 0, 1), -0.5), [image])
    yield case("constant_pad3d", nn.ConstantPad3d((1, 2, 0, 1, 1, 0), 3.0), [block])
    yield case("reflection_pad1d", nn.ReflectionPad1d((2, 1)), [line])
    yield case("reflection_pad2d", nn.ReflectionPad2d((1, 2, 2, 1)), [image])
    yield case("reflection_pad3d", nn.ReflectionPad3d(1), [block])
    yield case("replication_pad1d", nn.ReplicationPad1d((2, 1)), [line])
    yield case("replication_pad2d", nn.ReplicationPad2d((1, 2, 2, 1)), [image])
    yield case("replication_pad3d", nn.ReplicationPad3d(1), [block])
    yield case("circular_pad1d", nn.CircularPad1d((2, 1)), [line])
    yield case("circular_pad2d", nn.CircularPad2d((1, 2, 2, 1)), [image])
    yield case("circular_pad3d", nn.CircularPad3d(1), [block])


def norms():
    for training in [True, False]:
        at = "train" if training else "eval"
        yield case(f"batch_norm1d {at}", nn.BatchNorm1d(4), [(6, 4)], training=training)
        yield case(f"batch_norm2d {at}", nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), [(2, 3, 4, 5)], training=training)
        yield case(f"batch_norm3d {at}", nn.BatchNorm3d(2, affine=False), [(2, 2, 3, 2, 3)], training=training)
        yield case(f"batch_norm1d cumulative {at}", nn.BatchNorm1d(3, momentum=None), [(4, 3, 5)], training=training)
        stateless = nn.BatchNorm2d(3, track_running_stats=False)
        yield case(f"batch_norm2d stateless {at}", stateless, [(2, 3, 4, 5)], training=training)
        yield case(f"instance_norm1d {at}", nn.InstanceNorm1d(3), [(2, 3, 5)], training=training)
        tracked = nn.InstanceNorm2d(3, affine=True, track_running_stats=True)
        yield case(f"instance_norm2d {at}", tracked, [(2, 3, 4, 5)], training=training)
        yield case(f"instance_norm3d {at}", nn.InstanceNorm3d(2, affine=True), [(2, 2, 3, 2, 3)], training=training)
    yield case("instance_norm1d unbatched", nn.InstanceNorm1d(3, affine=True), [(3, 5)])
    yield case("layer_norm", nn.LayerNorm((3, 4), eps=1e-3), [(2, 3, 4)])
    yield case("layer_norm plain", nn.LayerNorm(4, elementwise_affine=False), [(2, 3, 4)])
    yield case("layer_norm unbiased", nn.LayerNorm(4, bias=False), [(2, 3, 4)])
    yield case("group_norm", nn.GroupNorm(2, 6), [(2, 6, 3, 4)])
    yield case("group_norm plain", nn.GroupNorm(3, 6, affine=False), [(4, 6)])
    yield case("rms_norm", nn.RMSNorm((3, 4), eps=1e-4), [(2, 3, 4)])
    yield case("rms_norm plain", nn.RMSNorm(4, eps=1e-6, elementwise_affine=False), [(2, 3, 4)])
    yield case("local_response_norm", nn.LocalResponseNorm(3, alpha=0.5, beta=0.6, k=2.0), [(2, 5, 3, 4)])
    weighted = parametrizations.weight_norm
    yield case("weight_norm linear", weighted(nn.Linear(4, 3)), [(2, 4)])
    yield case("weight_norm conv2d", weighted(nn.Conv2d(2, 3, 3, bias=False)), [(2, 2, 4, 5)])
    yield case("weight_norm whole", weighted(nn.Linear(4, 3), dim=None), [(2, 4)])
    yield case("weight_norm last", weighted(nn.Linear(4, 3), dim=1), [(2, 4)])
    spectral = parametrizations.spectral_norm
    for training in [True, False]:
        at = "train" if training else "eval"
        yield case(f"spectral_norm linear {at}", spectral(nn.Linear(4, 3)), [(2, 4)], training=training)
        conv = spectral(nn.Conv2d(2, 3, 3), n_power_iterations=3)
        yield case(f"spectral_norm conv2d {at}", conv, [(2, 2, 4, 5)], training=training)
        up = spectral(nn.ConvTranspose1d(2, 3, 3))
        yield case(f"spectral_norm conv_transpose1d {at}", up, [(2, 2, 4)], training=training)


def units():
    x = (4, 6)
    layers = {
        "relu": nn.ReLU(), "relu6": nn.ReLU6(), "leaky_relu": nn.LeakyReLU(0.2), "elu": nn.ELU(0.7), "celu": nn.CELU(1.3),
        "selu": nn.SELU(), "gelu": nn.GELU(), "gelu tanh": nn.GELU("tanh"), "silu": nn.SiLU(), "mish": nn.Mish(),
        "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "softplus": nn.Softplus(2.0, 1.5), "softsign": nn.Softsign(),
        "softshrink": nn.Softshrink(0.3), "hardshrink": nn.Hardshrink(0.3), "tanhshrink": nn.Tanhshrink(),
        "hardtanh": nn.Hardtanh(-0.5, 0.8), "hardsigmoid": nn.Hardsigmoid(), "hardswish": nn.Hardswish(),
        "logsigmoid": nn.LogSigmoid(), "threshold": nn.Threshold(0.1, 2.0), "rrelu": nn.RReLU(0.1, 0.5),
        "softmax": nn.Softmax(1), "softmin": nn.Softmin(0), "log_softmax": nn.LogSoftmax(-1), "glu": nn.GLU(1),
        "identity": nn.Identity(), "abs": Apply(torch.abs),
        "swiglu": Apply(lambda x: halves(x, nn.functional.silu)),
        "geglu": Apply(lambda x: halves(x, nn.functional.gelu)),
        "reglu": Apply(lambda x: halves(x, torch.relu)),
    }  # fmt: skip
    for name, layer in layers.items():
        yield case(name, layer, [x])
    yield case("softmax2d", nn.Softmax2d(), [(2, 3, 2, 2)])
    yield case("prelu", nn.PReLU(), [x])
    yield case("prelu channels", nn.PReLU(3), [(2, 3, 4)])
    yield case("linear", nn.Linear(6, 3), [(2, 4, 6)])
    yield case("linear unbiased", nn.Linear(6, 3, bias=False), [(6,)])
    yield case("bilinear", nn.Bilinear(3, 4, 5), [(2, 3, 3), (2, 3, 4)])
    rare = lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0)
    yield case("adaptive_log_softmax", rare(), [(5, 8)], lambda m, x: m.log_prob(x))
    target = ("index", (5,), 20)
    yield case("adaptive_log_softmax target", rare(), [(5, 8), target], lambda m, x, t: m(x, t).output)
    yield case("cosine_similarity", nn.CosineSimilarity(dim=2), [(2, 3, 4), (1, 3, 4)])
    yield case("pairwise_distance", nn.PairwiseDistance(p=3.0, keepdim=True), [(4, 3), (4, 3)])
    words = ("index", (2, 5), 7)
    yield case("embedding", nn.Embedding(7, 3), [words])
    yield case("embedding padded", nn.Embedding(7, 3, padding_idx=-2), [words])
    yield case("embedding frequencies", nn.Embedding(7, 3, scale_grad_by_freq=True), [words])
    for mode in ["sum", "mean", "max"]:
        yield case(f"embedding_bag {mode}", nn.EmbeddingBag(7, 3, mode=mode), [words])
        yield case(f"embedding_bag {mode} padded", nn.EmbeddingBag(7, 3, mode=mode, padding_idx=3), [words])
        ragged = [("index", (9,), 7), ("list", [0, 2, 2, 5])]
        yield case(f"embedding_bag {mode} offsets", nn.EmbeddingBag(7, 3, mode=mode), ragged)
        padded = nn.EmbeddingBag(7, 3, mode=mode, padding_idx=3)
        yield case(f"embedding_bag {mode} offsets padded", padded, ragged)
    weighted = nn.EmbeddingBag(7, 3, mode="sum")
    yield case("embedding_bag weighted", weighted, [words, (2, 5)], lambda m, i, w: m(i, per_sample_weights=w))


def write(name, cases):
    with open(name, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["models"]:
        from models import models

        write("models.json", models(case))
    else:
        groups = [convolutions, pools, resizes, norms, units]
        write("layers.json", [c for g in groups for c in g()])
