"""Golden files: the cases of a module, how new ones are declared, and how a recorded one is compared with Trax."""

import json
import random as python_random

import numpy as np

from . import arrays, record

# What a case says before Trax has run it; the rest is what Trax gave.
DECLARED = [
    'id', 'kind', 'expr', 'shared', 'initInputs', 'jitter', 'jit', 'brief', 'tensors', 'inputs', 'key', 'givenState',
    'model', 'loss', 'optimizer', 'batches', 'keys', 'note', 'exact',
]
# What a newly declared case may say, by kind, beside `kind`, `expr`, `shared`, `label` and `note`.
OPTIONS = {
    'layer': {'inputs', 'initInputs', 'steps', 'gradSteps', 'jitter', 'jit', 'givenState', 'brief'},
    'function': {'tensors', 'wrt', 'exact'},
    'error': {'inputs', 'initInputs'},
    'optimizer': {'shapes', 'steps'},
    'schedule': {'points'},
}
# Cases that rounding moves by more than this part of their largest value say nothing.
FRAGILE = 2e-3


class Module:
    """A golden file: `<module>.json` with the cases, one a line, and `<module>.safetensors` with their arrays."""

    def __init__(self, folder, name):
        self.path, self.name = folder / f'{name}.json', name
        self.cases, self.arrays = [], {}
        self.head = {'format': 1, 'module': name, 'set': 'own', 'tensors': f'{name}.safetensors'}
        if self.path.exists():
            self.head = json.loads(self.path.read_text())
            self.cases = self.head.pop('cases')
            if self.path.with_suffix('.safetensors').exists():
                self.arrays = arrays.read(self.path.with_suffix('.safetensors'))

    def case(self, id):
        return next((case for case in self.cases if case['id'] == id), None)

    def arrays_of(self, case):
        prefix = case['id'] + '/'
        return {name[len(prefix):]: x for name, x in self.arrays.items() if name.startswith(prefix)}

    def put(self, case, made):
        """Takes a case in, at the place of the one with its name if there is one."""
        case['tensorCount'] = len(made)
        prefix = case['id'] + '/'
        self.arrays = {name: x for name, x in self.arrays.items() if not name.startswith(prefix)}
        self.arrays.update({prefix + name: x for name, x in made.items()})
        places = [i for i, other in enumerate(self.cases) if other['id'] == case['id']]
        if places:
            self.cases[places[0]] = case
        else:
            self.cases.append(case)

    def write(self):
        head = json.dumps({**self.head, 'count': len(self.cases)})[:-1]
        lines = ',\n'.join(json.dumps(case, separators=(',', ':'), allow_nan=False) for case in self.cases)
        self.path.write_text(f'{head}, "cases": [\n{lines}\n]}}\n')
        arrays.write(self.path.with_suffix('.safetensors'), self.arrays)


def slug(expr):
    while isinstance(expr, dict) and 'call' in expr:
        expr = expr['call']
    return expr['fn'].rsplit('.', 1)[-1]


def declare(module, declared):
    """A case as it is before Trax runs it, and the arrays that it starts from."""
    kind = declared.get('kind', 'layer')
    unknown = set(declared) - OPTIONS[kind] - {'kind', 'expr', 'shared', 'label', 'note'}
    if unknown:
        raise ValueError(f'a case of kind {kind} says nothing about {", ".join(sorted(unknown))}')
    name = declared.get('label') or slug(declared['expr'])
    name += '-error' if kind == 'error' else ''
    numbers = [int(c['id'].rsplit('-', 1)[1]) for c in module.cases if c['id'].rsplit('-', 1)[0] == name]
    case = {'id': f'{name}-{max(numbers, default=0) + 1}', 'kind': kind, 'expr': declared['expr']}
    case.update({k: declared[k] for k in ('shared', 'note', 'jitter', 'jit', 'givenState', 'brief', 'exact')
                 if declared.get(k)})
    random, given = arrays.generator(f'{module.name}/{case["id"]}'), {}

    def drawn(prefix, specs):
        names = []
        for i, spec in enumerate(specs):
            names.append(f'{prefix}.{i}')
            given[names[-1]] = arrays.draw(spec, random)
        return names[0] if len(names) == 1 else names

    if kind == 'layer':
        case['init'] = {'key': arrays.key(random)}
        if 'initInputs' in declared:
            case['initInputs'] = drawn('init', declared['initInputs'])
        case['steps'] = []
        for number in range(declared.get('steps', 1)):
            step = {'key': arrays.key(random), 'inputs': drawn(f'x{number}', declared['inputs'])}
            if number in declared.get('gradSteps', [0]):
                step['grad'] = {}
            case['steps'].append(step)
    elif kind == 'function':
        given = {name: arrays.draw(spec, random) for name, spec in declared.get('tensors', {}).items()}
        case['tensors'] = sorted(given)
        if declared.get('wrt'):
            case['grad'] = {'wrt': declared['wrt']}
    elif kind == 'error':
        for names, prefix in (('inputs', 'x0'), ('initInputs', 'init')):
            if names in declared:
                case[names] = drawn(prefix, declared[names])
        case['key'] = arrays.key(random)
    elif kind == 'optimizer':
        def floats(prefix):
            for i, shape in enumerate(declared['shapes']):
                given[f'{prefix}.{i}'] = random.standard_normal(shape).astype(np.float32)
            return [f'{prefix}.{i}' for i in range(len(declared['shapes']))]

        case['weights'] = floats('w')
        case['steps'] = [{'step': t, 'grads': floats(f'g{t}')} for t in range(declared.get('steps', 5))]
    else:
        case['points'] = [[step, None] for step in declared['points']]
    return case, given


def bare(case):
    """A recorded case without what Trax gave."""
    kept = {name: case[name] for name in DECLARED if name in case}
    if 'init' in case:
        kept['init'] = {'key': case['init']['key']}
    if case['kind'] == 'layer':
        kept['steps'] = [
            {'key': s['key'], 'inputs': s['inputs'], **({'grad': {}} if s.get('grad') else {})} for s in case['steps']
        ]
    elif case['kind'] == 'function' and case.get('grad'):
        kept['grad'] = {'wrt': case['grad']['wrt']}
    elif case['kind'] == 'optimizer':
        kept['weights'] = case['weights']
        kept['steps'] = [{'step': s['step'], 'grads': s['grads']} for s in case['steps']]
    elif case['kind'] == 'schedule':
        kept['points'] = [[step, None] for step, _ in case['points']]
    return kept


def run(case, given, random, shift=None):
    """The case with what Trax gives, and its tape."""
    # Trax draws some choices from these.
    python_random.seed(1)
    np.random.seed(1)
    tape = record.Tape(given, random, shift)
    return record.RECORDERS[case['kind']](case, tape), tape


def recorded(module, case, given):
    """Runs a case and gives it its tolerances: the recorded case and all its arrays."""
    random = arrays.generator(f'{module.name}/{case["id"]}/drawn')
    done, tape = run(case, given, random)
    if case['kind'] in ('layer', 'function'):
        # Once more, with inputs and weights moved by the least that shows: what moves with them is how exact a result can be.
        _, moved = run(case, tape.given, random, shift=np.random.RandomState(7))
        done.update(tolerances(tape.made, moved.made, case.get('exact', False)))
        if 'init' in done:
            done['init']['tol'] = {'rtol': 1e-4, 'atol': 1e-6}
    elif case['kind'] == 'optimizer':
        done['tol'] = {'rtol': 1e-5, 'atol': 2e-6}
    elif case['kind'] == 'schedule':
        done['tol'] = {'rtol': 1e-6, 'atol': 0}
    return done, {**given, **tape.made}


def group_of(name):
    """Whether an array is held to the tolerance of gradients, of results, or is no result."""
    if name.startswith(('ct', 'v')):
        return None
    return 'gradTol' if name.startswith('g') else 'tol'


def tolerances(plain, moved, exact):
    """How far results may be off: 16 times as far as the least shift of inputs and weights moves them."""
    furthest = {}
    for name, x in plain.items():
        group, y = group_of(name), moved[name]
        if group is None:
            continue
        if x.shape != y.shape:
            raise ValueError(f'{name} has another shape after the least shift of the inputs')
        initial_weight = name.startswith('w') and name[1:].isdigit()
        if initial_weight or not record.is_float(x):
            if x.tobytes() != y.tobytes():
                raise ValueError(f'{name} is not the same in a second run')
            continue
        x, y = x.astype(np.float64), y.astype(np.float64)
        if not np.isfinite(x).all():
            raise ValueError(f'{name} is not finite')
        by, size = furthest.get(group, (0, 0))
        if x.size:
            furthest[group] = max(by, np.abs(x - y).max()), max(size, np.abs(x).max())
    half = any(str(x.dtype) in ('bfloat16', 'float16') for x in plain.values())
    found = {}
    for group, (by, size) in {'tol': (0, 0), **furthest}.items():
        if by > FRAGILE * max(size, 1e-6):
            raise ValueError(f'rounding moves it by {by:.2g} of {size:.2g}: choose other inputs')
        if half:
            found[group] = {'rtol': 2e-2, 'atol': rounded(max(2e-2 * size, 1e-4))}
        elif exact:
            found[group] = {'rtol': 0, 'atol': 0}
        else:
            found[group] = {
                'rtol': 1e-5 if by <= 2e-6 * size else 1e-4,
                'atol': rounded(max(16 * by, 2e-6 * size, 1e-7)),
            }
    return found


def rounded(x):
    return float(f'{x:.2g}')


def differences(module, case):
    """What Trax gives otherwise than the case has it; empty if nothing."""
    stored = module.arrays_of(case)
    done, tape = run(bare(case), stored, arrays.generator('unused'))
    found = []
    compare_json(done, case, 'case', found)
    for name, got in tape.made.items():
        group = group_of(name)
        if name not in stored:
            found.append(f'{name} is not in the file')
        elif group is not None:
            tolerance = case['init']['tol'] if name.startswith('w') and case['kind'] == 'layer' else case.get(group)
            compare_arrays(name, got, stored[name], tolerance, found)
    return found


def compare_json(got, want, path, found):
    if isinstance(want, dict) and isinstance(got, dict):
        for name, value in want.items():
            if name in ('tol', 'gradTol', 'tensorCount'):
                continue
            if name not in got:
                found.append(f'{path}.{name} is missing')
            else:
                compare_json(got[name], value, f'{path}.{name}', found)
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for i, (g, w) in enumerate(zip(got, want)):
            compare_json(g, w, f'{path}[{i}]', found)
    elif isinstance(want, float) and isinstance(got, (int, float)):
        # Sums and losses; the arrays themselves have their own tolerances.
        if abs(got - want) > 1e-2 + 1e-3 * abs(want):
            found.append(f'{path} is {got}, recorded as {want}')
    elif got != want:
        found.append(f'{path} is {got}, recorded as {want}')


def compare_arrays(name, got, want, tolerance, found):
    if (got.shape, got.dtype) != (want.shape, want.dtype):
        found.append(f'{name} is {got.dtype}{got.shape}, recorded as {want.dtype}{want.shape}')
    elif got.tobytes() != want.tobytes():
        if not record.is_float(want):
            found.append(f'{name} has other values')
            return
        got, want = got.astype(np.float64), want.astype(np.float64)
        if not np.allclose(got, want, tolerance['rtol'], tolerance['atol'], equal_nan=True):
            found.append(f'{name} is off by {np.nanmax(np.abs(got - want)):.3g}')
