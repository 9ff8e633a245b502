import test from 'ava';
import pkg from '../package.json';
import { version } from '../src/index.js';

test('the version the program reports is the one in package.json', (t) => {
  t.is(version, pkg.version);
});
