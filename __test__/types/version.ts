import { expectTypeOf } from 'expect-type';
import * as tl from '../../src/index.js';

expectTypeOf(tl.version).toEqualTypeOf<string>();

// @ts-expect-error: what is not exported is an error, not `any`
expectTypeOf(tl.noSuchName).toBeAny();
