"""Writes sequences.txt: PyTorch's outputs and gradients of the layers and losses that `suite/sequences/` checks.

    python crates/nn/tests/torch_sequences.py > crates/nn/tests/sequences.txt

Weights, inputs and cotangents come from `lattice`, which the tests compute too. All is computed in float64. The models
are those of the package transformers (5.24).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)


def lattice(seed, shape, scale=1.0):
    """Numbers n / 32768 without pattern, exact in float32."""
    count = math.prod(shape)
    numbers = [((i * 7919 + seed * 104729 + 12345) % 65521 * 48271 % 65521 - 32760) / 32768 for i in range(count)]
    return torch.tensor(numbers).reshape(shape) * scale


def fill(module, scale=0.5):
    """Every parameter, in the order of names, from its number."""
    with torch.no_grad():
        for k, (_, p) in enumerate(sorted(module.named_parameters())):
            p.copy_(lattice(k, p.shape, scale))
    return module


def case(name, outputs, named):
    """Prints a case: up to 64 samples of the outputs, the loss, and the norms of its gradients."""
    outputs = [t for t in outputs]
    loss = sum((t * lattice(1000 + k, t.shape)).sum() for k, t in enumerate(outputs))
    grads = torch.autograd.grad(loss, [t for _, t in named], retain_graph=True)
    flat = torch.cat([t.detach().reshape(-1) for t in outputs])
    n = flat.numel()
    count = min(n, 64)
    print("case", name)
    print("loss", repr(loss.item()))
    print("out", n, *[f"{flat[i * n // count].item():.9g}" for i in range(count)])
    for (key, _), g in zip(named, grads):
        print("grad", key, f"{g.norm().item():.9g}")


def parameters(module):
    return sorted(module.named_parameters())


def input(seed, *shape):
    return lattice(seed, shape).requires_grad_()


LENGTHS = [5, 7, 1, 3]


def recurrent(name, layer, states, lengths=None, time=7):
    fill(layer)
    x = input(500, 4, time, 3)
    h = [input(501 + k, *s) for k, s in enumerate(states)]
    state = None if not h else h[0] if len(h) == 1 else tuple(h)
    if lengths:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, last = layer(packed, state)
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=time)
    else:
        y, last = layer(x, state)
    last = last if isinstance(last, tuple) else (last,)
    named = parameters(layer) + [("x", x)] + [(f"state{k}", t) for k, t in enumerate(h)]
    case(name, [y, *last], named)


def all_recurrent():
    o = dict(batch_first=True)
    for kind, count in [("RNN", 1), ("LSTM", 2), ("GRU", 1)]:
        make = lambda **k: getattr(nn, kind)(3, 5, **o, **k)
        low = kind.lower()
        recurrent(f"{low}_lengths", make(), [], LENGTHS)
        recurrent(f"{low}_lengths_bidirectional", make(bidirectional=True, num_layers=2), [(4, 4, 5)] * count, LENGTHS)
        recurrent(f"{low}_stacked", make(num_layers=2, bias=False), [(2, 4, 5)] * count)
    for kind in ["LSTM", "GRU"]:
        layer = getattr(nn, kind)(3, 5, bidirectional=True, **o)
        recurrent(f"{kind.lower()}_200_steps", layer, [], [120, 200, 1, 37], 200)
    recurrent("lstm_lengths_projected", nn.LSTM(3, 5, proj_size=2, bidirectional=True, **o), [(2, 4, 2), (2, 4, 5)], LENGTHS)
    recurrent("rnn_relu_lengths", nn.RNN(3, 5, nonlinearity="relu", **o), [], LENGTHS)


def variants():
    """What PyTorch has not, by loops of its own operations."""

    class Params(nn.Module):
        def __init__(self, **shapes):
            super().__init__()
            for k, s in shapes.items():
                self.register_parameter(k, nn.Parameter(torch.zeros(s)))

    def lstm(name, coupled):
        rows = 15 if coupled else 20
        shapes = dict(weight_ih_l0=(rows, 3), weight_hh_l0=(rows, 5), bias_ih_l0=(rows,), bias_hh_l0=(rows,))
        shapes |= dict(weight_ci_l0=(5,), weight_co_l0=(5,))
        if not coupled:
            shapes["weight_cf_l0"] = (5,)
        p = fill(Params(**shapes))
        x = input(500, 7, 4, 3)
        h, c = torch.zeros(4, 5), torch.zeros(4, 5)
        ys = []
        for t in range(7):
            s = F.linear(x[t], p.weight_ih_l0, p.bias_ih_l0) + F.linear(h, p.weight_hh_l0, p.bias_hh_l0)
            parts = s.chunk(3 if coupled else 4, -1)
            i = torch.sigmoid(parts[0] + p.weight_ci_l0 * c)
            f = 1 - i if coupled else torch.sigmoid(parts[1] + p.weight_cf_l0 * c)
            c = f * c + i * torch.tanh(parts[-2])
            h = torch.sigmoid(parts[-1] + p.weight_co_l0 * c) * torch.tanh(c)
            ys.append(h)
        case(name, [torch.stack(ys), h[None], c[None]], parameters(p) + [("x", x)])

    lstm("lstm_peepholes", False)
    lstm("lstm_coupled", True)

    def plain(name, one_bias, leak, skip):
        shapes = dict(weight_ih_l0=(5, 3), weight_hh_l0=(5, 5), bias_ih_l0=(5,))
        if not one_bias:
            shapes["bias_hh_l0"] = (5,)
        if skip:
            shapes["weight_skip_l0"] = (5, 5)
        p = fill(Params(**shapes))
        x = input(500, 7, 4, 3)
        h = [torch.zeros(4, 5)] * max(skip, 1)
        ys = []
        for t in range(7):
            s = F.linear(x[t], p.weight_ih_l0, p.bias_ih_l0) + F.linear(h[-1], p.weight_hh_l0)
            s = s if one_bias else s + p.bias_hh_l0
            s = s + F.linear(h[-skip], p.weight_skip_l0) if skip else s
            h.append((1 - leak) * h[-1] + leak * torch.tanh(s))
            ys.append(h[-1])
        last = torch.cat([h[-1 - k] for k in range(max(skip, 1))], -1)[None]
        case(name, [torch.stack(ys), last], parameters(p) + [("x", x)])

    plain("simple_rnn", True, 1.0, 0)
    plain("rnn_leaky", False, 0.25, 0)
    plain("rnn_skip", False, 1.0, 3)


def cells():
    for name, cell, count in [
        ("rnn_cell", nn.RNNCell(3, 5, nonlinearity="relu"), 1),
        ("lstm_cell", nn.LSTMCell(3, 5), 2),
        ("gru_cell", nn.GRUCell(3, 5), 1),
    ]:
        fill(cell)
        x, states = input(500, 4, 3), [input(501 + k, 4, 5) for k in range(count)]
        y = cell(x, states[0] if count == 1 else tuple(states))
        y = y if isinstance(y, tuple) else (y,)
        case(name, y, parameters(cell) + [("x", x)] + [(f"state{k}", t) for k, t in enumerate(states)])


def attention():
    o = dict(batch_first=True)
    q, k, v = input(500, 2, 5, 8), input(501, 2, 6, 8), input(502, 2, 6, 8)
    padding = torch.tensor([[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]]).bool()
    added = lattice(510, (5, 6))
    per_head = lattice(511, (4, 5, 6)) > 0.6
    per_head[:, :, 0] = False

    def run(name, layer, q, k, v, weights=False, **masks):
        fill(layer)
        y, w = layer(q, k, v, need_weights=weights, **masks)
        named = parameters(layer) + [("q", q)] + ([("k", k), ("v", v)] if k is not q else [])
        case(name, [y, w] if weights else [y], named)

    mha = lambda **kw: nn.MultiheadAttention(8, 2, **kw)
    run("attention", mha(**o), q, k, v)
    run("attention_padding_added", mha(**o), q, k, v, key_padding_mask=padding.double() * -1e9, attn_mask=added)
    run("attention_padding_heads", mha(**o), q, k, v, key_padding_mask=padding, attn_mask=per_head)
    run("attention_weights", mha(bias=False, **o), q, k, v, weights=True, key_padding_mask=padding)
    causal = torch.triu(torch.ones(5, 5), 1).bool()
    run("attention_causal", mha(**o), q, q, q, attn_mask=causal)
    qt = input(500, 5, 2, 8)
    run("attention_time_first", mha(), qt, qt, qt, attn_mask=causal)
    k4, v6 = input(501, 2, 6, 4), input(502, 2, 6, 6)
    run("attention_dims", mha(kdim=4, vdim=6, **o), q, k4, v6)
    alone = input(500, 5, 8)
    run("attention_unbatched", mha(), alone, alone, alone)


def rotate(x, interleaved=False):
    half = x.shape[-1] // 2
    rate = 10000 ** (-torch.arange(half) * 2 / x.shape[-1])
    angle = torch.arange(x.shape[-2])[:, None] * rate
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])
    parts = a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()
    return torch.stack(parts, -1).flatten(-2) if interleaved else torch.cat(parts, -1)


def grouped():
    """Grouped queries and rotary positions, by PyTorch's scaled_dot_product_attention."""

    class Grouped(nn.Module):
        def __init__(self):
            super().__init__()
            self.in_proj_weight = nn.Parameter(torch.zeros(16, 8))
            self.in_proj_bias = nn.Parameter(torch.zeros(16))
            self.out_proj = nn.Linear(8, 8)

    for name, interleaved in [("attention_grouped", None), ("attention_rotary", False), ("attention_rotary_pairs", True)]:
        p = fill(Grouped())
        x = input(500, 2, 5, 8)
        y = F.linear(x, p.in_proj_weight, p.in_proj_bias)
        q = y[..., :8].unflatten(-1, (4, 2)).transpose(1, 2)
        k = y[..., 8:12].unflatten(-1, (2, 2)).transpose(1, 2)
        v = y[..., 12:].unflatten(-1, (2, 2)).transpose(1, 2)
        if interleaved is not None:
            q, k = rotate(q, interleaved), rotate(k, interleaved)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        y = p.out_proj(y.transpose(1, 2).flatten(2))
        case(name, [y], parameters(p) + [("x", x)])


def transformers():
    causal = torch.triu(torch.full((5, 5), -math.inf), 1)
    padding = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]).bool()
    for name, o in [
        ("post", dict(activation="relu")),
        ("pre", dict(activation="gelu", norm_first=True)),
        ("no_bias", dict(bias=False, layer_norm_eps=1e-3)),
    ]:
        o = dict(dim_feedforward=12, dropout=0.0, batch_first=True, **o)
        layer = fill(nn.TransformerEncoderLayer(8, 2, **o))
        x = input(500, 2, 5, 8)
        case(f"encoder_{name}", [layer(x, src_key_padding_mask=padding)], parameters(layer) + [("x", x)])
        layer = fill(nn.TransformerDecoderLayer(8, 2, **o))
        memory = input(501, 2, 5, 8)
        y = layer(x, memory, tgt_mask=causal, memory_key_padding_mask=padding)
        case(f"decoder_{name}", [y], parameters(layer) + [("x", x), ("memory", memory)])
    o = dict(dim_feedforward=12, dropout=0.0, norm_first=True)
    whole = fill(nn.Transformer(8, 2, 2, 2, **o))
    source, target = input(500, 6, 2, 8), input(501, 5, 2, 8)
    y = whole(source, target, tgt_mask=causal)
    case("transformer", [y], parameters(whole) + [("source", source), ("target", target)])


def losses():
    x = input(500, 12, 3, 5)
    targets = torch.tensor([[1, 2, 2, 4], [3, 3, 3, 1], [1, 0, 0, 0]])
    lengths, letters = torch.tensor([12, 7, 5]), torch.tensor([4, 3, 0])

    def ctc(name, lengths, letters, **o):
        y = F.ctc_loss(x.log_softmax(-1), targets, lengths, letters, **o)
        case(name, [y], [("x", x)])

    ctc("ctc_mean", lengths, letters)
    ctc("ctc_none", lengths, letters, reduction="none")
    ctc("ctc_sum_blank", lengths, letters, reduction="sum", blank=2)
    ctc("ctc_too_short", torch.tensor([12, 4, 5]), letters, reduction="none", zero_infinity=True)

    logits, classes = input(500, 6, 5), torch.tensor([1, 4, 0, 2, 2, 3])
    log_p = logits.log_softmax(-1)[range(6), classes]
    for gamma in [0.0, 1.5, 2.0]:
        case(f"focal_{gamma}", [(-((1 - log_p.exp()) ** gamma) * log_p).mean()], [("x", logits)])
    bits = (lattice(501, (6, 5)) > 0).double()
    p = logits.sigmoid()
    right = p * bits + (1 - p) * (1 - bits)
    y = F.binary_cross_entropy_with_logits(logits, bits, reduction="none") * (1 - right) ** 2
    case("sigmoid_focal", [(y * (0.25 * bits + 0.75 * (1 - bits))).sum()], [("x", logits)])
    shares = (2 * (p * bits).sum(1) + 1) / (p.sum(1) + bits.sum(1) + 1)
    case("dice", [1 - shares.mean()], [("x", logits)])
    teacher = lattice(502, (6, 5))
    soft = F.kl_div((logits / 3).log_softmax(-1), (teacher / 3).softmax(-1), reduction="batchmean")
    case("distillation", [0.7 * 9 * soft + 0.3 * F.cross_entropy(logits, classes)], [("x", logits)])
    case("smoothing_all", [F.cross_entropy(logits, classes, label_smoothing=0.1)], [("x", logits)])
    hot = F.one_hot(classes, 5).double()
    case("smoothing_others", [F.cross_entropy(logits, hot * 0.9 + (1 - hot) * 0.1 / 4)], [("x", logits)])

    a, b, c = input(500, 6, 4), input(501, 6, 4), input(502, 6, 4)
    named = [("a", a), ("b", b), ("c", c)]
    together = torch.tensor([1.0, 0, 1, 0, 0, 1])
    d = (a - b).norm(dim=1)
    case("contrastive", [together * d**2 + (1 - together) * (1.5 - d).clamp(min=0) ** 2], named[:2])
    cos = F.normalize(a) @ F.normalize(b).T / 0.2
    case("info_nce", [F.cross_entropy(cos, torch.arange(6))], named[:2])
    own = F.cosine_similarity(a, b)[:, None]
    cos = torch.cat([own, F.normalize(a) @ F.normalize(c).T], 1) / 0.2
    case("info_nce_negatives", [F.cross_entropy(cos, torch.zeros(6, dtype=int))], named)
    distance = lambda a, b: (a - b).abs().sum(1)
    y = F.triplet_margin_with_distance_loss(a, b, c, distance_function=distance, margin=0.5, swap=True)
    case("triplet", [y], named)


def penalties():
    net = fill(nn.Linear(4, 3))
    w = net.weight
    case("l1", [0.3 * w.abs().sum()], [("weight", w)])
    case("l2", [0.3 * w.square().sum()], [("weight", w)])
    case("elastic", [0.3 * w.abs().sum() + 0.2 * w.square().sum()], [("weight", w)])
    case("orthogonality", [(w @ w.T - torch.eye(3)).square().sum()], [("weight", w)])
    x = input(500, 6, 4)
    h = net(x).sigmoid()
    case("sparsity", [0.3 * h.abs().sum() / 6], parameters(net) + [("x", x)])
    m = h.mean(0)
    y = 0.2 * (0.2 / m).log() + 0.8 * (0.8 / (1 - m)).log()
    case("kl_sparsity", [y.sum()], parameters(net) + [("x", x)])
    jacobian = torch.stack([torch.autograd.grad(h[:, j].sum(), x, create_graph=True)[0] for j in range(3)])
    case("contractive", [jacobian.square().sum() / 6], parameters(net) + [("x", x)])
    x = lattice(500, (6, 4)).requires_grad_()
    slope = torch.autograd.grad(net(x).tanh().sum(), x, create_graph=True)[0]
    case("gradient_penalty", [(slope.norm(dim=1) - 1).square().mean()], [("weight", net.weight), ("bias", net.bias)])


def graphs():
    """PyTorch Geometric's layers by their formulas; edge 7 goes from a node to itself, and node 4 has no edges."""
    x = input(500, 6, 4)
    edges = torch.tensor([[0, 1, 2, 3, 3, 5, 0, 2], [1, 0, 1, 0, 5, 3, 5, 2]])
    weights = lattice(501, (8,)).abs().requires_grad_()

    class Conv(nn.Module):
        def __init__(self, heads, width, bias):
            super().__init__()
            self.lin = nn.Linear(4, heads * width, bias=False)
            self.bias = nn.Parameter(torch.zeros(bias))
            if heads > 1:
                self.att_src = nn.Parameter(torch.zeros(1, heads, width))
                self.att_dst = nn.Parameter(torch.zeros(1, heads, width))

    net = fill(Conv(1, 3, 3))
    for name, w in [("gcn", torch.ones(8)), ("gcn_weights", weights)]:
        a = torch.zeros(6, 6).index_put((edges[1], edges[0]), w)
        a = a + torch.diag(torch.tensor([1.0, 1, 0, 1, 1, 1]))
        root = a.sum(1) ** -0.5
        y = (root[:, None] * a * root) @ net.lin(x) + net.bias
        case(name, [y], parameters(net) + [("x", x)] + ([("w", w)] if w is weights else []))
    seen = torch.zeros(6, 6).index_put((edges[1], edges[0]), torch.ones(8)).bool() | torch.eye(6).bool()
    for concat in [True, False]:
        net = fill(Conv(2, 3, 6 if concat else 3))
        y = net.lin(x).view(6, 2, 3)
        src, dst = (y * net.att_src).sum(-1), (y * net.att_dst).sum(-1)
        scores = F.leaky_relu(dst[:, None] + src[None], 0.2).masked_fill(~seen[..., None], -math.inf)
        y = torch.einsum("ijh,jhc->ihc", scores.softmax(1), y)
        y = (y.flatten(1) if concat else y.mean(1)) + net.bias
        case(f"gat_{'concat' if concat else 'mean'}", [y], parameters(net) + [("x", x)])
    for kind in ["sum", "mean", "amax"]:
        messages = (x[edges[0]] * x[edges[1]]).tanh()
        index = edges[1][:, None].expand(-1, 4)
        y = torch.zeros(6, 4).scatter_reduce(0, index, messages, kind, include_self=False)
        case(f"propagate_{kind}", [y], [("x", x)])


def tokens(name, rows):
    print("case", name)
    for row in rows:
        print("tokens", *row)


def gpt2():
    import transformers

    config = transformers.GPT2Config(
        vocab_size=17, n_positions=16, n_embd=8, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=None
    )
    model = fill(transformers.GPT2LMHeadModel(config)).eval()
    x = torch.tensor([[(i * 7 + j * 3) % 17 for j in range(6)] for i in range(2)])
    case("gpt2", [model(x).logits], parameters(model))
    fill(model, 1.0)
    rows = x[:, :3]
    for name, options in [
        ("greedy", {}),
        ("beams", dict(num_beams=3)),
        ("beams_9", dict(num_beams=4, eos_token_id=9)),
        ("beams_10", dict(num_beams=4, eos_token_id=10)),
        ("beams_short", dict(num_beams=4, eos_token_id=9, length_penalty=0.2)),
        ("beams_long", dict(num_beams=4, eos_token_id=10, length_penalty=3.0)),
        ("beams_early", dict(num_beams=4, eos_token_id=9, early_stopping=True)),
    ]:
        options |= dict(attention_mask=torch.ones_like(rows), max_new_tokens=10, do_sample=False, pad_token_id=16)
        tokens(f"generate_{name}", model.generate(rows, **options).tolist())


def bert():
    import transformers

    config = transformers.BertConfig(
        vocab_size=17, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=9
    )
    model = fill(transformers.BertModel(config)).eval()
    x = torch.tensor([[(i * 7 + j * 3) % 17 for j in range(6)] for i in range(2)])
    kinds = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1]])
    seen = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    y = model(x, token_type_ids=kinds, attention_mask=seen)
    case("bert", [y.last_hidden_state, y.pooler_output], parameters(model))


class VisionTransformer(nn.Module):
    """torchvision's, with its names."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1 = nn.LayerNorm(8, eps=1e-6)
            self.self_attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.ln_2 = nn.LayerNorm(8, eps=1e-6)
            self.mlp = nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Dropout(0.0), nn.Linear(12, 8), nn.Dropout(0.0))

    def __init__(self):
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.conv_proj = nn.Conv2d(3, 8, 4, 4)
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.zeros(1, 5, 8))
        self.encoder.layers = nn.ModuleDict({f"encoder_layer_{i}": self.Block() for i in range(2)})
        self.encoder.ln = nn.LayerNorm(8, eps=1e-6)
        self.heads = nn.ModuleDict({"head": nn.Linear(8, 7)})

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.encoder.pos_embedding
        for block in self.encoder.layers.values():
            y = block.ln_1(x)
            x = x + block.self_attention(y, y, y, need_weights=False)[0]
            x = x + block.mlp(block.ln_2(x))
        return self.heads["head"](self.encoder.ln(x)[:, 0])


def vit():
    model = fill(VisionTransformer())
    x = input(500, 2, 3, 8, 8)
    case("vit", [model(x)], parameters(model) + [("x", x)])


if __name__ == "__main__":
    all_recurrent()
    variants()
    cells()
    attention()
    grouped()
    transformers()
    losses()
    penalties()
    graphs()
    gpt2()
    bert()
    vit()
