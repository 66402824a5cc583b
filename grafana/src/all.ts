// All dashboards, by the file that each becomes.

import type { Dashboard } from '@grafana/schema';
import { device } from './dashboards/device';
import { environment } from './dashboards/environment';
import { overview } from './dashboards/overview';
import { runs } from './dashboards/runs';
import { stack } from './dashboards/stack';
import { highVoltage, lowVoltage } from './dashboards/supplies';

export const all: Record<string, Dashboard> = {
  'overview.json': overview,
  'high-voltage.json': highVoltage,
  'low-voltage.json': lowVoltage,
  'environment.json': environment,
  'device.json': device,
  'runs.json': runs,
  'stack.json': stack,
};

/** A dashboard as it stands in its file. */
export const text = (d: Dashboard): string => JSON.stringify(d, null, 2) + '\n';
