import { quoted } from '../../bridge/found.js';
import { refusal } from '../refusal.js';

/** Refuses a metric that no evaluation gave. */
export function checkMetric(what: string, metric: string, metrics: Readonly<Record<string, number>>): void {
  if (metric in metrics) return;
  const names = Object.keys(metrics);
  const list = names.length === 0 ? 'the loop has no `evalTasks`' : `there are ${names.map(quoted).join(', ')}`;
  throw refusal('InvalidOption', `${what}: no evaluation gives the metric ${quoted(metric)}: ${list}`);
}
