"""Expressions of golden cases, and the Trax objects that they stand for.

An expression is JSON: `{"fn": "Dense", "args": [4], "options": {"useBias": false}}` is the call `tl.Dense(4, use_bias=False)`.
Names and options are spelled as in tallow. Parameters of Trax without a default are `args`, all others `options`.
"""

import functools
import importlib
import inspect
import re

# What setup() imports. Trax takes a while to import, and `--help` does not need it.
jax = jnp = tl = trax = None

LAYERS = [
    'acceleration', 'activation_fns', 'assert_shape', 'attention', 'base', 'combinators', 'convolution', 'core',
    'deconvolution', 'initializers', 'metrics', 'normalization', 'pooling', 'research.efficient_attention',
    'research.position_encodings', 'research.rel_attention', 'research.resampling',
    'research.rotary_positional_embedding', 'research.sparsity', 'reversible', 'rnn', 'test_utils',
]
# Two layers modules have a DotProductAttention; the plain names belong to these, the others need their module's.
FIRST = [m for m in LAYERS if not m.startswith('research.')] + ['research.efficient_attention',
                                                                'research.position_encodings']
OPTIMIZERS = ['SGD', 'Momentum', 'RMSProp', 'Adam', 'Adafactor', 'SM3']
SCHEDULES = ['constant', 'warmup', 'warmup_and_rsqrt_decay', 'multifactor']
# Functions of jax.random have parameters with defaults that are positional in tallow.
RANDOM = {
    'key': ('PRNGKey', ['seed']),
    'split': ('split', ['key', 'num']),
    'foldIn': ('fold_in', ['key', 'data']),
    'bits': ('bits', ['key', 'shape']),
    'uniform': ('uniform', ['key', 'shape']),
    'normal': ('normal', ['key', 'shape']),
    'bernoulli': ('bernoulli', ['key', 'p', 'shape']),
    'randint': ('randint', ['key', 'shape', 'minval', 'maxval']),
    'permutation': ('permutation', ['key', 'x']),
    'categorical': ('categorical', ['key', 'logits']),
    'truncatedNormal': ('truncated_normal', ['key', 'lower', 'upper', 'shape']),
    'gumbel': ('gumbel', ['key', 'shape']),
}
# Arrays for these parameters are tuples in Trax, which shows in the names of some layers.
TUPLES = {
    'axis', 'd_embs', 'dimension_numbers', 'dropout_broadcast_dims', 'dropout_shared_axes', 'kernel_shape',
    'kernel_size', 'pool_size', 'pos_axial_shape', 'pos_d_axial_embs', 'shape', 'shape1', 'shared_axes', 'shape2',
    'size', 'strides',
}


class Malformed(Exception):
    """An expression that stands for nothing: a mistake in the case, not an error of Trax."""


def camel(name):
    head, *tail = name.split('_')
    return head + ''.join(part[:1].upper() + part[1:] for part in tail)


def snake(name):
    return re.sub('[A-Z]', lambda m: '_' + m.group().lower(), name)


@functools.cache
def names():
    """Everything that an expression may name, by the name it has in tallow."""
    found = {}

    def spelled(name):
        return name if name[0].isupper() else camel(name)

    for module_name in sorted(LAYERS, key=lambda m: m not in FIRST):
        module = importlib.import_module(f'trax.layers.{module_name}')
        prefix = camel(module_name.rsplit('.', 1)[-1])
        for name, value in vars(module).items():
            if callable(value) and not name.startswith('_') and getattr(value, '__module__', None) == module.__name__:
                found.setdefault(spelled(name), value)
                found[f'{prefix}.{spelled(name)}'] = value
    for name, (function, positional) in RANDOM.items():
        value = functools.partial(getattr(jax.random, function))
        value.positional = positional
        found[f'random.{name}'] = value
    for prefix, module_name, wanted in [('models', 'trax.models', None), ('optimizers', 'trax.optimizers', OPTIMIZERS),
                                        ('lrSchedules', 'trax.supervised.lr_schedules', SCHEDULES)]:
        module = importlib.import_module(module_name)
        for name in wanted or [n for n in dir(module) if n[0].isupper()]:
            found[f'{prefix}.{spelled(name)}'] = getattr(module, name)
    return found


def setup():
    """Imports JAX and Trax, with keys as Trax draws them."""
    global jax, jnp, tl, trax
    jax = importlib.import_module('jax')
    jax.config.update('jax_threefry_partitionable', False)
    jnp = jax.numpy
    trax = importlib.import_module('trax')
    tl = importlib.import_module('trax.layers')


class Builder:
    """Builds the expressions of one case; layers that are shared are built once."""

    def __init__(self, arrays=None, shared=None):
        self.arrays = arrays or {}
        self.shared = shared or {}
        self.made = {}

    def build(self, expr, parameter=None):
        """The value that `expr` stands for."""
        if expr is None or isinstance(expr, (bool, int, float, str)):
            return expr
        if isinstance(expr, list):
            values = [self.build(e, parameter) for e in expr]
            return tuple(values) if parameter in TUPLES else values
        for word in ('fn', 'call', 'ref', 'tensor', 'share', 'lambda', 'thunk'):
            if word in expr:
                return getattr(self, f'_{word}')(expr)
        raise Malformed(f'no expression: {expr}')

    def _fn(self, expr):
        function = self._named(expr['fn'])
        parameters = Parameters(function)
        args = expr.get('args', [])
        if len(args) > len(parameters.positional) and not parameters.rest:
            raise Malformed(f'{expr["fn"]} takes {parameters.positional}, not {len(args)} arguments')
        if len(args) < len(parameters.positional) and not hasattr(function, 'positional'):
            raise Malformed(f'{expr["fn"]} needs {parameters.positional}')
        known = parameters.positional + [None] * len(args)
        values = [self.build(arg, name) for arg, name in zip(args, known)]
        return function(*values, **self._options(expr['fn'], expr, parameters))

    def _call(self, expr):
        """A call of what another expression gives, such as an initializer."""
        options = {snake(k): self.build(v) for k, v in expr.get('options', {}).items()}
        return self.build(expr['call'])(*[self.build(a, 'shape') for a in expr.get('args', [])], **options)

    def _ref(self, expr):
        """A function as a value."""
        function = self._named(expr['ref'])
        if not expr.get('options'):
            return function
        return functools.partial(function, **self._options(expr['ref'], expr, Parameters(function)))

    def _tensor(self, expr):
        if expr['tensor'] not in self.arrays:
            raise Malformed(f'the case has no array {expr["tensor"]}')
        return jnp.asarray(self.arrays[expr['tensor']])

    def _share(self, expr):
        name = expr['share']
        if name not in self.shared:
            raise Malformed(f'the case shares nothing called {name}')
        if name not in self.made:
            self.made[name] = self.build(self.shared[name])
        return self.made[name]

    def _thunk(self, expr):
        """A factory that builds its expression anew."""
        self.build(expr['thunk'])
        return lambda *args, **options: self.build(expr['thunk'])

    def _lambda(self, expr):
        names_ = expr['lambda']

        def run(*values):
            scope = dict(zip(names_, values))
            if 'bodies' in expr:
                return tuple(evaluate(body, scope) for body in expr['bodies'])
            return evaluate(expr['body'], scope)

        # Fn asks how many parameters a function has.
        return eval(f'lambda {", ".join(names_)}: run({", ".join(names_)})', {'run': run})

    def _named(self, name):
        if name not in names():
            raise Malformed(f'Trax has no {name}')
        return names()[name]

    def _options(self, name, expr, parameters):
        found = {}
        for option, value in expr.get('options', {}).items():
            python = parameters.options.get(option)
            if python is None and not parameters.any_option:
                raise Malformed(f'{name} has no option {option}; it has {sorted(parameters.options)}')
            python = python or snake(option)
            found[python] = self.build(value, python)
        return found


class Parameters:
    """What a function takes: `positional` names, `options` from tallow's spelling to Python's."""

    def __init__(self, function):
        given = getattr(function, 'positional', None)
        self.positional = list(given or [])
        self.options, self.rest, self.any_option = {}, False, False
        for p in inspect.signature(function).parameters.values():
            if p.name == 'self':
                continue
            if p.kind == p.VAR_POSITIONAL:
                self.rest = True
            elif p.kind == p.VAR_KEYWORD:
                self.any_option = True
            elif given is not None:
                if p.name not in given:
                    self.options[camel(p.name)] = p.name
            elif p.default is p.empty:
                self.positional.append(p.name)
            else:
                self.options[camel(p.name)] = p.name


OPERATIONS = {
    'add': lambda a, b: a + b,
    'sub': lambda a, b: a - b,
    'mul': lambda a, b: a * b,
    'div': lambda a, b: a / b,
    'less': lambda a, b: a < b,
    'greater': lambda a, b: a > b,
    'neg': lambda a: -a,
    'square': lambda a: a * a,
}
# These are called as in jax.numpy.
OF_NUMPY = {'exp', 'log', 'tanh', 'abs', 'maximum', 'minimum', 'matmul', 'sum', 'mean', 'max'}


def evaluate(body, scope):
    """The body of a lambda: a parameter, a number, or `[operation, argument, ...]`."""
    if isinstance(body, str):
        return scope[body]
    if isinstance(body, (int, float)):
        return body
    name, *args = body
    if name not in OPERATIONS and name not in OF_NUMPY:
        raise Malformed(f'lambdas have no operation {name}')
    function = OPERATIONS.get(name) or getattr(jnp, name)
    return function(*[evaluate(arg, scope) for arg in args])
