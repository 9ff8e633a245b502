"""Records updates of PyTorch's AdamW and Muon, which Trax has not.

Needs PyTorch 2.9 or newer: `python torch_optimizers.py > ../../crates/training/tests/golden/torch_optimizers.json`.
"""

import json

import torch

STEPS = 4
SHAPES = [(4, 3), (3, 5), (2, 2)]
CASES = [
    ('AdamW', {}, {}),
    (
        'AdamW',
        {'learningRate': 0.02, 'weightDecay': 0.3, 'b1': 0.7, 'b2': 0.9, 'eps': 1e-5},
        {'lr': 0.02, 'weight_decay': 0.3, 'betas': (0.7, 0.9), 'eps': 1e-5},
    ),
    ('Muon', {}, {}),
    (
        'Muon',
        {'learningRate': 0.02, 'weightDecay': 0.3, 'momentum': 0.8, 'nesterov': False, 'nsSteps': 3},
        {'lr': 0.02, 'weight_decay': 0.3, 'momentum': 0.8, 'nesterov': False, 'ns_steps': 3},
    ),
    ('Muon', {'adjustLrFn': 'match_rms_adamw'}, {'adjust_lr_fn': 'match_rms_adamw'}),
]

# PyTorch's Muon iterates in bfloat16, tallow in the type of the weight: under another name that type is what PyTorch takes.
torch.bfloat16 = torch.float32


def flat(tensors):
    return [t.detach().reshape(-1).tolist() for t in tensors]


def record(name, options, torch_options):
    draw = torch.Generator().manual_seed(len(options))
    weights = [torch.randn(shape, generator=draw).requires_grad_() for shape in SHAPES]
    case = {'optimizer': name, 'options': options, 'weights': flat(weights), 'steps': []}
    optimizer = getattr(torch.optim, name)(weights, **torch_options)
    for step in range(STEPS):
        for w in weights:
            w.grad = torch.randn(w.shape, generator=draw)
        gradients = flat(w.grad for w in weights)
        optimizer.step()
        case['steps'].append({'gradients': gradients, 'weights': flat(weights)})
    return case


recorded = [record(*case) for case in CASES]
print(json.dumps({'torch': torch.__version__, 'shapes': SHAPES, 'cases': recorded}))
