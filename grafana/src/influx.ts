// Queries of the archive in InfluxQL, as Grafana keeps them.

import type { DataQuery } from '@grafana/schema';
import { archive } from './names';

export interface Target extends DataQuery {
  query: string;
  rawQuery: true;
  resultFormat: 'time_series' | 'table';
  /** Name of a series: $m is the measurement, $tag_x a tag, $col the column. */
  alias?: string;
  [key: string]: unknown;
}

function target(refId: string, query: string, more: Partial<Target>): Target {
  return { refId, datasource: archive, query, rawQuery: true, resultFormat: 'time_series', ...more };
}

/** A query that gives series, named by alias. */
export const series = (refId: string, alias: string, query: string): Target => target(refId, query, { alias });

/** A query of one measurement that gives a table. */
export const rows = (query: string): Target => target('A', query, { resultFormat: 'table' });

/** All measurements that a variable with several values names. */
export const devices = (variable: string): string => `/^\${${variable}:regex}$/`;

/** All measurements whose name matches what a text variable says. */
export const named = (variable: string): string => `/\${${variable}:raw}/`;

export interface Field {
  field: string;
  from: string;
  alias: string;
  /** More conditions, beginning with AND. */
  where?: string;
  /** Tags that tell series apart, beginning with a comma. */
  by?: string;
}

export const ofChannels = ', "number"';

/** How an aggregate of a field goes over the dashboard's time. */
function over(f: Field, select: string): string {
  return `SELECT ${select} FROM ${f.from} WHERE $timeFilter${f.where ? ' ' + f.where : ''} GROUP BY time($__interval)${f.by ?? ''} fill(null)`;
}

/**
 * A field over time, by its mean, and as B the smallest and largest value of
 * each point: a spike of one second is still there in 30 days.
 */
export function withEnvelope(f: Field): Target[] {
  return [series('A', f.alias, over(f, `mean(${f.field})`)), series('B', f.alias, over(f, `min(${f.field}), max(${f.field})`))];
}

/** The largest value of each point: of a flag, whether it ever was set. */
export const highest = (refId: string, f: Field): Target => series(refId, f.alias, over(f, `max(${f.field})`));

/** The last value of each point. */
export const lastOf = (refId: string, f: Field): Target => series(refId, f.alias, over(f, `last(${f.field})`));

/**
 * How much of what a device said in the last quarter of an hour it still says,
 * in percent: the archive does not know its period, so it is compared with itself.
 * What has a record is the loader's own, with the seq of somebody else.
 */
export const freshness = (from: string): Target =>
  series(
    'A',
    '$m',
    'SELECT last("n") / mean("n") * 100 FROM ' +
      `(SELECT count("seq") AS "n" FROM ${from} WHERE time > now() - 15m AND time < now() AND "record" = '' GROUP BY time(1m, now()) fill(0))`,
  );

/** The newest of a field that is not older than age, whatever the dashboard's time. */
export const now = (refId: string, f: Field, age: string): Target =>
  series(refId, f.alias, `SELECT last(${f.field}) FROM ${f.from} WHERE time > now() - ${age}${f.where ? ' ' + f.where : ''}${f.by ? ' GROUP BY ' + f.by.slice(2) : ''}`);

/** A flag of now, summed over a device's channels. */
export const sumNow = (field: string, from: string, age: string): Target =>
  series('A', '$m', `SELECT sum("v") FROM (SELECT last("${field}") AS "v" FROM ${from} WHERE time > now() - ${age} GROUP BY "number")`);

/** States change seldom: the one that holds may be from long ago. */
export const longAgo = '400d';

/** The states of the dashboard's time, with what held before it. */
export const stateHistory = (alias: string, where: string, by = ' GROUP BY "device"'): Target =>
  series('A', alias, `SELECT "state" FROM "state" WHERE time >= \${__from}ms - ${longAgo} AND time <= \${__to}ms AND ${where}${by}`);
