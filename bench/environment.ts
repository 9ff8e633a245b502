/** The Python environment of the rivals: made once, in a folder that git ignores. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A rival in Python, by the name of its package. */
export type PythonRival = 'torch' | 'jax';

/** A Python program with the rivals it has and the others with what keeps them away, or why there is none. */
export type Python =
  | {
      readonly program: string;
      readonly has: readonly PythonRival[];
      readonly missing: ReadonlyMap<PythonRival, string>;
    }
  | { readonly why: string };

/** What the environment holds; kept in it, so that a change is seen. */
const REQUIREMENTS = join(__dirname, 'rivals', 'requirements.txt');
/** Wheels without the libraries of graphics processors, where the usual ones come with them. */
const CPU_WHEELS = ['--extra-index-url', 'https://download.pytorch.org/whl/cpu'];
const INSTALL_MS = 20 * 60_000;

/** Runs a program to its end; what went wrong, in its last line. */
function run(program: string, args: readonly string[]): string | undefined {
  const { error, status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: INSTALL_MS,
    maxBuffer: 1 << 28,
  });
  if (error !== undefined)
    return `${program}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such program' : error.message}`;
  if (status === 0) return undefined;
  return (
    `${stderr}\n${stdout}`
      .trim()
      .split('\n')
      .findLast((line) => /error|no module/i.test(line))
      ?.trim() ?? `${program} failed`
  );
}

const RIVALS: readonly PythonRival[] = ['torch', 'jax'];

/** Which rivals a Python can import. */
function found(program: string): Python {
  const missing = new Map<PythonRival, string>();
  for (const rival of RIVALS) {
    const why = run(program, ['-c', `import ${rival}`]);
    if (why !== undefined) missing.set(rival, why);
  }
  const has = RIVALS.filter((rival) => !missing.has(rival));
  return has.length > 0 ? { program, has, missing } : { why: [...missing.values()].join('; ') };
}

/**
 * The environment in `folder`, made if it is missing or out of date. A rival that has no package for this machine is left out.
 *
 * @param base - the Python to make it with
 * @param say - hears that it takes a while
 */
export function pythonIn(folder: string, base: string, say: (line: string) => void): Python {
  const wanted = readFileSync(REQUIREMENTS, 'utf8');
  const mark = join(folder, 'requirements.txt');
  const program = process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) {
    const made = found(program);
    if ('program' in made) return made;
  }
  const version = run(base, [
    '-c',
    'import venv, sys; sys.exit(sys.version_info < (3, 10) and "error: Python 3.10 is the oldest that will do")',
  ]);
  if (version !== undefined) return { why: version };
  say(
    `Making a Python environment for the rivals in ${folder}; this downloads PyTorch and JAX, once (gigabytes where PyTorch without GPU libraries cannot be reached).`,
  );
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const fail = (why: string): Python => {
    rmSync(folder, { recursive: true, force: true });
    return { why };
  };
  const why = run(base, ['-m', 'venv', folder]);
  if (why !== undefined) return fail(why);
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '1'];
  const failures: string[] = [];
  // One by one, so that what one rival lacks keeps none of the others away.
  for (const requirement of wanted.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))) {
    // The version that says "cpu" is the newer one to pip, so it is taken where that index can be reached.
    const why =
      run(program, [...install, requirement, ...CPU_WHEELS]) === undefined
        ? undefined
        : run(program, [...install, requirement]);
    if (why !== undefined) failures.push(why);
  }
  const made = found(program);
  if ('why' in made) return fail(failures[0] ?? made.why);
  writeFileSync(mark, wanted);
  return made;
}
