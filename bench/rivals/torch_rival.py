"""The benchmark's cases in PyTorch, eager: float32, the same shapes and the same arithmetic as bench/suites.mjs."""
import math

import torch
from torch import nn
from torch.nn import functional as F

from serve import serve


def wanting(*tensors):
    """The tensors, as ones that want gradients."""
    return [t.requires_grad_() for t in tensors]


def forward_backward(f, inputs, info=None):
    """Forward, and backward from a fixed cotangent to every input."""
    out = f()
    cotangent = torch.ones_like(out)
    del out

    def repeat():
        torch.autograd.grad(f(), inputs, cotangent)

    return repeat, info or {}


def gemm(p):
    lead = (p['b'],) if p['b'] > 1 else ()
    a, b = torch.randn(*lead, p['m'], p['k']), torch.randn(*lead, p['k'], p['n'])
    out = torch.empty(*lead, p['m'], p['n'])
    return lambda: torch.matmul(a, b, out=out) is None, {'flops': 2 * p['b'] * p['m'] * p['k'] * p['n']}


class DecoderBlock(nn.Module):
    """Causal self-attention and a feed-forward part, each after a norm and around a residual."""

    def __init__(self, width, hidden, heads):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.hidden_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.join = (nn.Linear(width, width) for _ in range(4))
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def split(self, x):
        batch, length, width = x.shape
        return x.reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, x, past=None):
        """`past`: keys and values of all positions, and how many of them are known already."""
        normed = self.attention_norm(x)
        q, k, v = (self.split(project(normed)) for project in (self.query, self.key, self.value))
        if past is not None:
            keys, values, known = past
            end = known + x.shape[1]
            keys[:, :, known:end], values[:, :, known:end] = k, v
            k, v = keys[:, :, :end], values[:, :, :end]
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        x = x + self.join(mixed.transpose(1, 2).reshape(x.shape))
        return x + self.hidden(self.hidden_norm(x))


class LanguageModel(nn.Module):
    """Trax's TransformerLM: tokens shifted right, trained positions, decoder blocks, norm, logits."""

    def __init__(self, p, length):
        super().__init__()
        width = p['d_model']
        self.tokens = nn.Embedding(p['vocab'], width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(DecoderBlock(width, p['d_ff'], p['heads']) for _ in range(p['layers']))
        self.norm, self.logits = nn.LayerNorm(width), nn.Linear(width, p['vocab'])

    def forward(self, ids, pasts=None, start=0):
        x = self.tokens(ids) + self.positions[start:start + ids.shape[1]]
        for i, block in enumerate(self.blocks):
            x = block(x, None if pasts is None else (*pasts[i], start))
        return self.logits(self.norm(x))


def adam(parameters):
    """Trax's Adam at a rate of 1e-3: weights shrink by 1e-5 of themselves a step."""
    return torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-5, weight_decay=1e-2, fused=True)


def train_lm(p):
    model = LanguageModel(p, p['length'])
    optimizer = adam(model.parameters())
    ids = torch.randint(1, p['vocab'], (p['batch'], p['length']))
    shifted = F.pad(ids, (1, 0))[:, :-1]

    def repeat():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(shifted).flatten(0, 1), ids.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    return repeat, {'tokens': p['batch'] * p['length']}


def decode(p):
    model = LanguageModel(p, p['tokens']).eval()
    shape = (p['batch'], p['heads'], p['tokens'], p['d_model'] // p['heads'])

    @torch.inference_mode()
    def repeat():
        pasts = [(torch.zeros(shape), torch.zeros(shape)) for _ in range(p['layers'])]
        ids, last = [], torch.zeros(p['batch'], 1, dtype=torch.long)
        for position in range(p['tokens']):
            last = model(last, pasts, position).argmax(-1)
            ids.extend(last.flatten().tolist())
        return ids

    return repeat, {'tokens': p['batch'] * p['tokens']}


def prompt(p):
    model = LanguageModel(p, p['length']).eval()
    ids = torch.randint(1, p['vocab'], (p['batch'], p['length']))

    @torch.inference_mode()
    def repeat():
        return model(ids)[:, -1].argmax(-1).tolist()

    return repeat, {'tokens': p['batch'] * p['length']}


def rnn(p):
    kinds = {'lstm': nn.LSTM, 'gru': nn.GRU}
    if p['cell'] not in kinds:
        raise NotImplementedError(p['cell'])
    net = kinds[p['cell']](p['units'], p['units'], batch_first=True)
    inputs = wanting(torch.randn(p['batch'], p['length'], p['units'])) + list(net.parameters())
    return forward_backward(lambda: net(inputs[0])[0], inputs, {'tokens': p['batch'] * p['length']})


def conv(p):
    def last(t):
        return t.contiguous(memory_format=torch.channels_last)

    channels = p['c']
    x, = wanting(last(torch.randn(p['b'], channels, p['h'], p['w'])))
    if p['kind'] == 'conv':
        w, bias = wanting(last(torch.randn(channels, channels, 3, 3) / math.sqrt(9 * channels)), torch.zeros(channels))
        flops = 3 * 2 * p['b'] * p['h'] * p['w'] * channels * channels * 9
        return forward_backward(lambda: F.conv2d(x, w, bias, padding=1), [x, w, bias], {'flops': flops})
    if p['kind'] == 'maxpool':
        return forward_backward(lambda: F.max_pool2d(x, 2), [x])
    if p['kind'] in ('batchnorm', 'bn'):
        norm = nn.BatchNorm2d(channels)
        return forward_backward(lambda: norm(x), [x, norm.weight, norm.bias])
    raise NotImplementedError(p['kind'])


def elementwise(p):
    kind = p['kind']
    if kind == 'layernorm':
        inputs = wanting(torch.randn(p['rows'], p['cols']), torch.ones(p['cols']), torch.zeros(p['cols']))
        return forward_backward(lambda: F.layer_norm(inputs[0], (p['cols'],), inputs[1], inputs[2], 1e-6), inputs)
    if kind == 'xent':
        x, = wanting(torch.randn(p['rows'], p['cols']))
        targets = torch.randint(p['cols'], (p['rows'],))
        return forward_backward(lambda: F.cross_entropy(x, targets), [x])
    if kind == 'gelu':
        x = torch.randn(p['n'])
        return torch.no_grad()(lambda: F.gelu(x) is None), {}
    if kind == 'gelu_fb':
        x, = wanting(torch.randn(p['n']))
        return forward_backward(lambda: F.gelu(x), [x])
    if kind == 'embgrad':
        table, = wanting(torch.randn(p['vocab'], p['d']))
        ids = torch.randint(p['vocab'], (p['ids'],))
        return forward_backward(lambda: F.embedding(ids, table), [table])
    if kind == 'dropout':
        x = torch.randn(p['n'])
        return lambda: F.dropout(x, p['rate'], True) is None, {}
    raise NotImplementedError(kind)


def optimizers(p):
    kinds = {
        'Adam': adam,
        'AdamW': lambda w: torch.optim.AdamW(w, lr=1e-3, fused=True),
        'Adafactor': lambda w: torch.optim.Adafactor(w, lr=1e-3),
    }
    if p['optimizer'] not in kinds:
        raise NotImplementedError(p['optimizer'])
    weights = wanting(*(torch.rand(p['rows'], p['cols']) * 2 - 1 for _ in range(p['tensors'])))
    for w in weights:
        w.grad = torch.rand(p['rows'], p['cols']) * 2 - 1
    return kinds[p['optimizer']](weights).step, {}


def overhead(p):
    a, b = torch.randn(p['n']), torch.randn(p['n'])

    def repeat():
        for _ in range(p['inner']):
            a + b  # pylint: disable=pointless-statement

    return repeat, {'inner': p['inner']}


SUITES = {'gemm': gemm, 'train_lm': train_lm, 'decode': decode, 'prompt': prompt, 'rnn': rnn, 'conv': conv, 'elementwise': elementwise, 'optimizers': optimizers,
          'js_overhead': overhead}


def build(suite, params, threads):
    """One case, ready to be repeated: a function, and what is known of it."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if suite not in SUITES:
        raise NotImplementedError(suite)
    return SUITES[suite](params)


if __name__ == '__main__':
    serve(build)
