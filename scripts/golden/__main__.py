"""Golden cases: what Trax computes, recorded for the tests.

check   runs recorded cases through Trax and says what comes out otherwise
record  runs recorded cases again and writes what Trax gives now (after an edit of their `expr`, say)
add     runs newly declared cases and appends them to the file of their module
"""

import argparse
import json
import pathlib
import sys

from . import cases, expressions

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / 'crates' / crate / 'tests' / 'golden' for crate in ('tensor', 'layers', 'training')]
FOLDERS.append(ROOT / '__test__' / 'models' / 'golden')


def folder_of(module):
    """Where the file of a module lies; new modules are those of layers."""
    return next((folder for folder in FOLDERS if (folder / f'{module}.json').exists()), FOLDERS[1])


def selected(wanted):
    """The cases that `module` or `module/case` name, by module."""
    for name in wanted:
        module_name, _, id = name.partition('/')
        if not (folder_of(module_name) / f'{module_name}.json').exists():
            known = sorted(path.stem for folder in FOLDERS for path in folder.glob('*.json'))
            raise ValueError(f'no module is called {module_name}; there are {", ".join(known)}')
        module = cases.Module(folder_of(module_name), module_name)
        chosen = [module.case(id)] if id else list(module.cases)
        if chosen == [None]:
            raise ValueError(f'{module_name} has no case {id}')
        yield module, chosen


def check(wanted):
    failed = 0
    for module, chosen in selected(wanted):
        for case in chosen:
            try:
                found = cases.differences(module, case)
            except Exception as error:  # One case that fails must not hide the others.
                found = [f'{type(error).__name__}: {str(error)[-300:]}']
            failed += bool(found)
            print(f'{module.name}/{case["id"]}: {"; ".join(found) or "as recorded"}', flush=True)
    return failed


def record(wanted):
    for module, chosen in selected(wanted):
        for case in chosen:
            given = module.arrays_of(case)
            old = cases.bare(case)
            module.put(*cases.recorded(module, old, given))
            print(f'{module.name}/{case["id"]}: recorded', flush=True)
        module.write()
    return 0


def add(files):
    for file in files:
        declared = json.loads(pathlib.Path(file).read_text())
        module = cases.Module(folder_of(declared['module']), declared['module'])
        for one in declared['cases']:
            case, given = cases.declare(module, one)
            module.put(*cases.recorded(module, case, given))
            print(f'{module.name}/{case["id"]}: added to {module.path.relative_to(ROOT)}', flush=True)
        module.write()
    return 0


def main():
    parser = argparse.ArgumentParser(prog='golden', description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('work', choices=['check', 'record', 'add'])
    parser.add_argument('names', nargs='+', help='modules or cases (core, core/Dense-1); for `add`: JSON files')
    given = parser.parse_args()
    expressions.setup()
    try:
        return 1 if {'check': check, 'record': record, 'add': add}[given.work](given.names) else 0
    except (ValueError, OSError, expressions.Malformed) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
