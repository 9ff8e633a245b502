import { parseArgs } from 'node:util';
import { mpi } from './lib/mpi.mjs';
import { needCargo, needNode } from './lib/needs.mjs';
import { figures, report } from './lib/report.mjs';
import { main } from './lib/run.mjs';

const help = `npm run test:mpi -- [options]

Runs ranks that are processes, under mpirun, on this machine: each operation between them against the same on threads, and each way in which a rank
may fail. It compiles into the folder that all builds share, beside what is there: the addon stays as it is. Where there is no library of MPI,
and the system's packages can be had (apt-get, as root), it installs Open MPI.

  --help     this text`;

await main(async () => {
  const { values } = parseArgs({ options: { help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  await needCargo();
  const total = await report(mpi);
  console.log(figures(total, true));
  return total.failed > 0 ? 1 : 0;
});
