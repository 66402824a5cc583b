// What the dashboards are called, and what they know of the archive's names.

import type { DataSourceRef } from '@grafana/schema';

/** The data source of provisioning/datasources/influxdb.yml. */
export const archive: DataSourceRef = { type: 'influxdb', uid: 'archive' };

export const folder = 'Tracker DCS';

/** Each dashboard has this tag, by which they link to each other. */
export const tag = 'dcs';

export const uid = {
  overview: 'dcs-overview',
  hv: 'dcs-high-voltage',
  lv: 'dcs-low-voltage',
  environment: 'dcs-environment',
  device: 'dcs-device',
  runs: 'dcs-runs',
  stack: 'dcs-stack',
} as const;

/** Measurements that are not a device's (docs/contract.md, section 6). */
export const ownMeasurements = ['ack', 'run', 'sensor', 'service', 'state'];

/**
 * The archive does not say which supply is of high and which of low voltage;
 * their names do. Each can be changed in a box on the dashboard.
 */
export const hvNames = '(?i)^(hv|iseg|caen|keithley)';
export const lvNames = '(?i)^(lv|hmp|tti)';

/** The states in which a calibration run has ended, and those before. */
export const endedStates = ['finished', 'failed', 'aborted', 'interrupted'] as const;

/**
 * From anywhere below Grafana's path to the root of the same host, where the
 * console is: a path that begins with a slash would get Grafana's own prefix, and
 * too many .. do no harm. Such a link needs a tab of its own: else Grafana takes it
 * for one of its own pages.
 */
export const origin = '../../../../../../';
