"""PyTorch's twins of the whole training steps of `wgrad bench`.

    python steps.py NAME [STEPS [compile]]
    python steps.py NAME --write FOLDER

NAME is that of the case. Prints the number of parameters, loss and norm of all gradients (before clipping) of the first step,
the median of milliseconds of a step until its loss is read, samples or tokens a second, and the most memory that the process
had. T is the number of threads. With --write, weights and a batch go into FOLDER (weights.safetensors, batch.safetensors), and
the number of parameters, and losses and norms of three steps on that batch (steps.json).

All steps have two parameter groups (what has a rank below 2 does not decay) and clip by the norm of all gradients to 1.
"""

import json
import math
import os
import pathlib
import resource
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(int(os.environ.get("T", "2")))
COMPILE = sys.argv[3:4] == ["compile"]


def compiled(network):
    return torch.compile(network) if COMPILE else network


def groups(network, weight_decay):
    all = list(network.parameters())
    decaying, plain = [p for p in all if p.dim() >= 2], [p for p in all if p.dim() < 2]
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def descend(loss, network, optimizer):
    """One step down; gives the norm before clipping."""
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return norm


class Single:
    """One network with one optimiser, trained by cross-entropy."""

    def __init__(self, network, optimizer, unit, amount, batch, rate=None, after=None):
        self.network, self.run, self.optimizer = network, compiled(network), optimizer
        self.unit, self.amount, self.batch, self.rate, self.after = unit, amount, batch, rate, after

    def step(self, i, x, y):
        if self.rate:
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(i)
        loss = F.cross_entropy(self.run(x), y)
        norm = descend(loss, self.network, self.optimizer)
        if self.after:
            self.after()
        return [loss.detach(), norm]


# --- A small language model over characters -----------------------------------------------------------------------------

WIDTH, HEADS, LAYERS, TIME, CHARACTERS = 128, 4, 4, 64, 65


class GptBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.c_attn, self.c_proj = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.c_fc, self.mlp_proj = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (u.view(b, t, HEADS, c // HEADS).transpose(1, 2) for u in self.c_attn(self.ln_1(x)).split(WIDTH, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c)
        x = x + self.c_proj(y)
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(CHARACTERS, WIDTH), nn.Embedding(TIME, WIDTH)
        self.blocks = nn.ModuleList(GptBlock() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(WIDTH, bias=False)
        for name, p in self.named_parameters():
            if p.dim() >= 2:
                nn.init.normal_(p, 0, 0.02 / math.sqrt(2 * LAYERS) if "proj" in name else 0.02)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight).flatten(0, 1)


def gpt():
    network = Gpt()
    adam = torch.optim.AdamW(groups(network, 0.1), lr=1e-3, betas=(0.9, 0.99))

    def batch():
        return torch.randint(CHARACTERS, (12, TIME)), torch.randint(CHARACTERS, (12 * TIME,))

    return Single(network, adam, "tokens", 12 * TIME, batch, rate=lambda i: 1e-3 * (0.01 + 0.99 * min(i, 100) / 100))


# --- Images of 32 by 32 -------------------------------------------------------------------------------------------------


def images():
    return torch.randn(16, 3, 32, 32), torch.randint(10, (16,))


class Basic(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
        self.downsample = None
        if a != b or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """With a first convolution of 3 by 3 and no pooling."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        blocks, a = [], 64
        for b, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [Basic(a, b, stride), Basic(b, b, 1)]
            a = b
        self.blocks, self.fc = nn.ModuleList(blocks), nn.Linear(512, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean((2, 3)))


def resnet18():
    network = ResNet18()
    sgd = torch.optim.SGD(groups(network, 5e-4), lr=0.05, momentum=0.9, nesterov=True)
    parameters = list(network.parameters())
    average = [p.detach().clone() for p in parameters]

    def update():
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 0.01)

    def rate(i):
        return 0.025 * (1 + math.cos(math.pi * i / 100))

    return Single(network, sgd, "samples", 16, images, rate, update)


def conv_norm(a, b, kernel, stride, groups):
    conv = nn.Conv2d(a, b, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, a, b, stride, expansion):
        super().__init__()
        hidden = a * expansion
        first = [conv_norm(a, hidden, 1, 1, 1)] if expansion != 1 else []
        depthwise = conv_norm(hidden, hidden, 3, stride, hidden)
        self.conv = nn.Sequential(*first, depthwise, nn.Conv2d(hidden, b, 1, bias=False), nn.BatchNorm2d(b))
        self.residual = stride == 1 and a == b

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """With torchvision's names, without dropout."""

    def __init__(self):
        super().__init__()
        features, a = [conv_norm(3, 32, 3, 2, 1)], 32
        stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
        for expansion, b, blocks, stride in stages:
            for i in range(blocks):
                features.append(InvertedResidual(a, b, stride if i == 0 else 1, expansion))
                a = b
        self.features = nn.Sequential(*features, conv_norm(320, 1280, 1, 1, 1))
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(1280, 10))
        for p in self.features.parameters():
            if p.dim() == 4:
                nn.init.kaiming_normal_(p, mode="fan_out")
        nn.init.normal_(self.classifier[1].weight, 0, 0.01)
        nn.init.zeros_(self.classifier[1].bias)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenet():
    network = MobileNetV2()
    sgd = torch.optim.SGD(groups(network, 4e-5), lr=0.05, momentum=0.9)
    return Single(network, sgd, "samples", 16, images)


class VitBlock(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        nothing = nn.Identity()
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nothing, nn.Linear(hidden, width), nothing)
        for i in (0, 3):
            nn.init.xavier_uniform_(self.mlp[i].weight)
            nn.init.normal_(self.mlp[i].bias, 0, 1e-6)

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class VisionTransformer(nn.Module):
    """With torchvision's names."""

    def __init__(self):
        super().__init__()
        width = 192
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.conv_proj = nn.Conv2d(3, width, 4, 4)
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.randn(1, 65, width) * 0.02)
        self.encoder.layers = nn.Sequential()
        for i in range(6):
            self.encoder.layers.add_module(f"encoder_layer_{i}", VitBlock(width, 3, 768))
        self.encoder.ln = nn.LayerNorm(width, eps=1e-6)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(width, 10))
        # Not zeros as at torchvision: with them all other gradients of the first step would be zero too.
        nn.init.normal_(self.heads.head.weight, 0, 0.02)

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.encoder.pos_embedding
        return self.heads(self.encoder.ln(self.encoder.layers(x))[:, 0])


def vit():
    network = VisionTransformer()
    adam = torch.optim.AdamW(groups(network, 0.05), lr=1e-3)
    return Single(network, adam, "samples", 16, images)


# --- A U-Net ------------------------------------------------------------------------------------------------------------


class DoubleConv(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        layers = []
        for c in (a, b):
            layers += [nn.Conv2d(c, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(a, 2 * a))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(a, a // 2, 2, 2), DoubleConv(a, a // 2)

    def forward(self, x, by):
        return self.conv(torch.cat([by, self.up(x)], 1))


class UNet(nn.Module):
    """With the names of milesial's Pytorch-UNet."""

    def __init__(self):
        super().__init__()
        self.inc = DoubleConv(3, 64)
        self.down1, self.down2, self.down3, self.down4 = Down(64), Down(128), Down(256), Down(512)
        self.up1, self.up2, self.up3, self.up4 = Up(1024), Up(512), Up(256), Up(128)
        self.outc = nn.Module()
        self.outc.conv = nn.Conv2d(64, 2, 1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        y = self.up1(self.down4(x4), x4)
        return self.outc.conv(self.up4(self.up3(self.up2(y, x3), x2), x1))


def unet():
    network = UNet()
    adam = torch.optim.AdamW(groups(network, 0.01), lr=1e-4)
    return Single(network, adam, "samples", 4, lambda: (torch.randn(4, 3, 64, 64), torch.randint(2, (4, 64, 64))))


# --- A generative adversarial network -----------------------------------------------------------------------------------


class Networks(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(
            nn.ConvTranspose2d(100, 128, 7, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, 64, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, 2, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(128 * 7 * 7, 1),
        )


class Dcgan:
    unit, amount = "samples", 64

    def __init__(self):
        self.network = Networks()
        self.generator, self.discriminator = compiled(self.network.generator), compiled(self.network.discriminator)
        parts = (self.network.discriminator, self.network.generator)
        self.d_adam, self.g_adam = (torch.optim.Adam(groups(p, 1e-4), lr=2e-4, betas=(0.5, 0.999)) for p in parts)

    def batch(self):
        return torch.rand(64, 1, 28, 28) * 2 - 1, torch.randn(64, 100, 1, 1)

    def step(self, i, real, noise):
        def loss(images, label):
            logits = self.discriminator(images)
            return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

        fake = self.generator(noise)
        d_loss = loss(real, 1.0) + loss(fake.detach(), 0.0)
        d_norm = descend(d_loss, self.network.discriminator, self.d_adam)
        # The generator's step needs no gradients by the discriminator's weights.
        self.network.discriminator.requires_grad_(False)
        g_loss = loss(fake, 1.0)
        g_norm = descend(g_loss, self.network.generator, self.g_adam)
        self.network.discriminator.requires_grad_(True)
        return [d_loss.detach(), d_norm, g_loss.detach(), g_norm]


STEPS = {
    "gpt_l4_d128_t64_b12": gpt,
    "resnet18_32_b16": resnet18,
    "mobilenetv2_32_b16": mobilenet,
    "unet_64_b4": unet,
    "vit_32_b16": vit,
    "dcgan_28_b64": Dcgan,
}


def write(twin, folder):
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in twin.network.state_dict().items()}, folder / "weights.safetensors")
    batch = twin.batch()
    save_file({str(i): t.contiguous() for i, t in enumerate(batch)}, folder / "batch.safetensors")
    steps = [[float(v) for v in twin.step(i, *batch)] for i in range(3)]
    parameters = sum(p.numel() for p in twin.network.parameters())
    (folder / "steps.json").write_text(json.dumps({"parameters": parameters, "steps": steps}))


def main():
    if sys.argv[1:2] == [] or sys.argv[1] not in STEPS:
        sys.exit(f"{__doc__}\nThe names: {', '.join(STEPS)}")
    torch.manual_seed(0)
    twin = STEPS[sys.argv[1]]()
    if sys.argv[2:3] == ["--write"]:
        return write(twin, pathlib.Path(sys.argv[3]))
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    print(f"{sum(p.numel() for p in twin.network.parameters())} parameters")
    batches = [twin.batch() for _ in range(8)]
    seconds = []
    # The first steps touch memory and compile.
    for i in range(3 + steps):
        began = time.perf_counter()
        outputs = twin.step(i, *batches[i % 8])
        outputs[0].item()
        seconds.append(time.perf_counter() - began)
        if i == 0:
            for loss, norm in zip(outputs[::2], outputs[1::2]):
                print(f"first loss {loss.item():.4f}, norm {norm.item():.4f}")
    median = statistics.median(seconds[3:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{1e3 * median:.2f} ms a step, {twin.amount / median:.1f} {twin.unit}/s, the process at most {peak // 10**6} MB")


main()
